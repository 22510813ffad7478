/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* From the bytes of a frame to the facts to count. */
#ifndef FLOWDAM_PARSE_H
#define FLOWDAM_PARSE_H

#include "maps.h"
#include "packet.h"
#include "parse_ip.h"
#include "parse_l2.h"
#include "parse_tunnel.h"

/*
 * Returns ETH_P_IP or ETH_P_IPV6 with the packet's key (but for the interface) and facts filled,
 * PARSED_NOT_IP, or MALFORMED. packet->frame_bytes, packets, segment_bytes and vlan (where it is
 * not in the frame) are the caller's.
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
	l3.off = forget(l3.off, view->noise, FD_L3_OFFSET_MASK);
	result = parse_ip(view, type, &l3, &l4, packet);
	if (result < 0)
		return result;
	if (settings.inner_key) {
		forget_facts(view, &l4, packet);
		result = parse_inner(view, &l3, &l4, packet);
		if (result < 0)
			return result;
	} else if (view->super && packet->segment_bytes) {
		forget_facts(view, &l4, packet);
		add_inner_headers(view, &l3, &l4, packet);
	}
	return type;
}

/* The head of a packet, copied because its headers do not lie in the linear part. NULL: no scratch
 * memory. */
static __always_inline struct packet_copy *copy_place(__u32 direction)
{
	return bpf_map_lookup_elem(&packet_copies, &direction);
}

/*
 * How much of a frame to copy: 1 to FD_PACKET_COPY, 0 for an empty one. Computed so that even the
 * verifier of Linux 6.1 knows the bounds, wherever the compiler keeps the value.
 */
static __always_inline __u32 copied_size(__u32 frame_bytes)
{
	__u32 last = frame_bytes - 1;

	if (!frame_bytes)
		return 0;
	if (last >= FD_PACKET_COPY)
		last = FD_PACKET_COPY - 1;
	asm volatile("" : "+r"(last));
	return (last & (FD_PACKET_COPY - 1)) + 1;
}

/* Whether parsing may have failed only because the rest of the head lies in another buffer. */
static __always_inline bool needs_copy(const struct view *view, int parsed, __u32 frame_bytes)
{
	__u32 linear = view->end - view->data;

	return parsed <= 0 && linear < frame_bytes && linear < FD_PACKET_COPY;
}

#endif
