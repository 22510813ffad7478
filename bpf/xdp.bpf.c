// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Ingress: every frame that an interface receives, before the kernel allocates anything for it. */
#include "count.h"
#include "parse.h"

/* Parses a copy of the frame's head. Kept out of the way of all frames that do not need it. */
__noinline int parse_copied_xdp(struct xdp_md *ctx, int ethernet, struct packet *packet)
{
	struct packet_copy *copy = copy_place(DIRECTION_INGRESS);
	__u32 size;
	struct view view = {.noise = ctx->rx_queue_index};

	if (!packet)
		return PARSED_NOT_IP;
	size = copied_size(packet->frame_bytes);
	if (!copy || !size || bpf_xdp_load_bytes(ctx, 0, copy, size))
		return PARSED_NOT_IP;
	view.copy = copy;
	view.copied = size;
	packet->vlan = 0;
	return parse_packet(&view, ethernet, packet);
}

static __always_inline int count_frame(struct xdp_md *ctx, __u32 frame_bytes, bool frags)
{
	struct view view = {.data = (void *)(long)ctx->data,
			    .end = (void *)(long)ctx->data_end,
			    .noise = ctx->rx_queue_index};
	struct packet packet = {.frame_bytes = frame_bytes, .packets = 1};
	struct place place;
	bool ethernet;
	int parsed;

	if (!find_place(ctx->ingress_ifindex, DIRECTION_INGRESS, &place))
		return XDP_PASS;
	ethernet = !(place.iface_flags & FD_IFACE_L3);
	parsed = parse_packet(&view, ethernet, &packet);
	if (frags && needs_copy(&view, parsed, frame_bytes))
		parsed = parse_copied_xdp(ctx, ethernet, &packet);
	if (count_packet(&place, parsed, &packet) || place.iface_flags & FD_IFACE_DROP)
		return XDP_DROP;
	return XDP_PASS;
}

SEC("xdp")
int flowdam_xdp(struct xdp_md *ctx)
{
	return count_frame(ctx, ctx->data_end - ctx->data, false);
}

/* The same for frames in several buffers (jumbo frames, LRO). Needs Linux 5.18: user space leaves
 * it out before. */
SEC("xdp.frags")
int flowdam_xdp_frags(struct xdp_md *ctx)
{
	return count_frame(ctx, bpf_xdp_get_buff_len(ctx), true);
}
