// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Egress: every packet that leaves through an interface, by clsact or TCX. */
#include <linux/pkt_cls.h>

#include "count.h"
#include "parse.h"

char _license[] SEC("license") __weak = "Dual BSD/GPL";

SEC("tc")
int flowdam_tc(struct __sk_buff *skb)
{
	struct view view = {
		.data = (void *)(long)skb->data, .end = (void *)(long)skb->data_end, .super = true};
	struct packet packet = {.frame_bytes = skb->len, .packets = 1};
	struct place place;
	int parsed;

	if (!find_place(skb->ifindex, DIRECTION_EGRESS, &place))
		return TC_ACT_UNSPEC;
	parsed = parse_packet(&view, !(place.iface_flags & FD_IFACE_L3), &packet);
	return count_packet(&place, parsed, &packet) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}
