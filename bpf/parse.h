/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* From the bytes of a frame to the facts to count. */
#ifndef FLOWDAM_PARSE_H
#define FLOWDAM_PARSE_H

#include "maps.h"
#include "packet.h"
#include "parse_ip.h"
#include "parse_l2.h"

/*
 * Returns ETH_P_IP or ETH_P_IPV6 with the packet's key (but for the interface) and facts filled,
 * PARSED_NOT_IP, or MALFORMED. packet->frame_bytes, packets and vlan (where the NIC took the tag
 * off) are the caller's.
 */
static __always_inline int parse_packet(const struct view *view, bool ethernet,
					struct packet *packet)
{
	struct layer3 l3 = {};
	struct layer4 l4 = {};
	int type, result;

	packet->tcp_flags = 0;
	packet->marks = 0;
	packet->bytes = packet->frame_bytes;
	if (ethernet) {
		packet->bytes -= packet->frame_bytes < ETH_HLEN ? packet->frame_bytes : ETH_HLEN;
		type = parse_ethernet(view, &l3.off, &packet->vlan);
	} else {
		type = type_by_version(view, 0);
	}
	if (type <= 0)
		return type;
	l3.off = forget(l3.off, packet->frame_bytes, FD_L3_OFFSET_MASK);
	result = parse_ip(view, type, &l3, &l4, packet);
	return result < 0 ? result : type;
}

#endif
