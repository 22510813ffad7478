// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Ingress: every frame that an interface receives, before the kernel allocates anything for it. */
#include "count.h"
#include "parse.h"

char _license[] SEC("license") __weak = "Dual BSD/GPL";

static __always_inline int count_frame(struct xdp_md *ctx, __u32 frame_bytes)
{
	struct view view = {.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end};
	struct packet packet = {.frame_bytes = frame_bytes, .packets = 1};
	struct place place;
	int parsed;

	if (!find_place(ctx->ingress_ifindex, DIRECTION_INGRESS, &place))
		return XDP_PASS;
	parsed = parse_packet(&view, !(place.iface_flags & FD_IFACE_L3), &packet);
	if (count_packet(&place, parsed, &packet) || place.iface_flags & FD_IFACE_DROP)
		return XDP_DROP;
	return XDP_PASS;
}

SEC("xdp")
int flowdam_xdp(struct xdp_md *ctx)
{
	return count_frame(ctx, ctx->data_end - ctx->data);
}

/* The same for frames in several buffers (jumbo frames, LRO). Needs Linux 5.18: user space leaves
 * it out before. */
SEC("xdp.frags")
int flowdam_xdp_frags(struct xdp_md *ctx)
{
	return count_frame(ctx, bpf_xdp_get_buff_len(ctx));
}
