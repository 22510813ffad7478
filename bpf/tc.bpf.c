// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Egress: every packet that leaves through an interface, by clsact or TCX. */
#include <linux/pkt_cls.h>

#include "count.h"
#include "parse.h"

/* Where the driver adds the tag, it is not in the packet's bytes. */
static __always_inline __u16 offloaded_vlan(const struct __sk_buff *skb)
{
	return skb->vlan_present ? skb->vlan_tci & 0xfff : 0;
}

__noinline int parse_copied_tc(struct __sk_buff *skb, int ethernet, struct packet *packet)
{
	struct packet_copy *copy = copy_place(DIRECTION_EGRESS);
	__u32 size;
	struct view view = {.noise = skb->hash, .super = true};

	if (!packet)
		return PARSED_NOT_IP;
	size = copied_size(packet->frame_bytes);
	if (!copy || !size || bpf_skb_load_bytes(skb, 0, copy, size))
		return PARSED_NOT_IP;
	view.copy = copy;
	view.copied = size;
	packet->vlan = offloaded_vlan(skb);
	return parse_packet(&view, ethernet, packet);
}

/*
 * A GSO super packet is cut into segments after us, by the driver or the card, and each gets the
 * headers again. The kernel does not always know their number: a guest's packets come without it
 * (SKB_GSO_DODGY).
 */
static __always_inline void count_segments(const struct __sk_buff *skb, int parsed,
					   struct packet *packet)
{
	__u32 segments = skb->gso_segs, headers = packet->header_bytes;

	if (parsed > 0 && !segments && packet->bytes > headers)
		segments = (packet->bytes - headers + packet->segment_bytes - 1) /
			   packet->segment_bytes;
	if (segments <= 1)
		return;
	packet->packets = segments;
	if (parsed > 0)
		packet->bytes += (segments - 1) * headers;
}

SEC("tc")
int flowdam_tc(struct __sk_buff *skb)
{
	struct view view = {.data = (void *)(long)skb->data,
			    .end = (void *)(long)skb->data_end,
			    .noise = skb->hash,
			    .super = true};
	struct packet packet = {.frame_bytes = skb->len,
				.packets = 1,
				.segment_bytes = skb->gso_size,
				.vlan = offloaded_vlan(skb)};
	struct place place;
	bool ethernet;
	int parsed;

	if (!find_place(skb->ifindex, DIRECTION_EGRESS, &place))
		return TC_ACT_UNSPEC;
	ethernet = !(place.iface_flags & FD_IFACE_L3);
	parsed = parse_packet(&view, ethernet, &packet);
	if (needs_copy(&view, parsed, packet.frame_bytes))
		parsed = parse_copied_tc(skb, ethernet, &packet);
	if (packet.segment_bytes)
		count_segments(skb, parsed, &packet);
	return count_packet(&place, parsed, &packet) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}
