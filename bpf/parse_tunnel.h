/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What is inside a tunnel's packet: IPIP, 6in4 and 4in6, GRE, VXLAN. One level deep. */
#ifndef FLOWDAM_PARSE_TUNNEL_H
#define FLOWDAM_PARSE_TUNNEL_H

#include <linux/in.h>

#include "packet.h"
#include "parse_ip.h"
#include "parse_l2.h"

#define GRE_CHECKSUM 0x8000 /* RFC 2784; key and sequence number: RFC 2890 */
#define GRE_KEY 0x2000
#define GRE_SEQUENCE 0x1000
#define GRE_UNKNOWN 0x4fff /* routing (RFC 1701), reserved bits, versions such as PPTP's 1 */

#define VXLAN_PORT 4789
#define VXLAN_HAS_VNI 0x08 /* RFC 7348 section 5 */
#define VXLAN_HEADER_SIZE 8

static __always_inline int parse_gre(const struct view *view, __u32 *off)
{
	__be16 *header = view_at(view, *off, 4);
	__u16 flags, type;
	__u16 vlan = 0;

	if (!header)
		return MALFORMED(FD_REASON_TUNNEL);
	flags = bpf_ntohs(header[0]);
	type = bpf_ntohs(header[1]);
	if (flags & GRE_UNKNOWN)
		return PARSED_NOT_IP;
	*off += 4;
	*off += flags & GRE_CHECKSUM ? 4 : 0;
	*off += flags & GRE_KEY ? 4 : 0;
	*off += flags & GRE_SEQUENCE ? 4 : 0;
	if (type == ETH_P_IP || type == ETH_P_IPV6)
		return type;
	if (type == ETH_P_TEB)
		return parse_ethernet(view, off, &vlan);
	return PARSED_NOT_IP;
}

static __always_inline int parse_vxlan(const struct view *view, __u32 *off)
{
	__u8 *header = view_at(view, *off, VXLAN_HEADER_SIZE);
	__u16 vlan = 0;

	if (!header)
		return MALFORMED(FD_REASON_TUNNEL);
	if (!(header[0] & VXLAN_HAS_VNI))
		return PARSED_NOT_IP;
	*off += VXLAN_HEADER_SIZE;
	return parse_ethernet(view, off, &vlan);
}

/* From the outer layer 4 at *off to the inner IP header. PARSED_NOT_IP: no tunnel, or no IP in it.
 */
static __always_inline int find_inner(const struct view *view, const struct packet *outer,
				      const struct layer4 *l4, __u32 *off)
{
	switch (outer->protocol) {
	case IPPROTO_IPIP:
		return ETH_P_IP;
	case IPPROTO_IPV6:
		return ETH_P_IPV6;
	case IPPROTO_GRE:
		return parse_gre(view, off);
	case IPPROTO_UDP:
		if (l4->ports >> 16 != VXLAN_PORT)
			return PARSED_NOT_IP;
		*off += sizeof(struct udphdr);
		return parse_vxlan(view, off);
	default:
		return PARSED_NOT_IP;
	}
}

/*
 * Before a second IP header is parsed: makes one way of all that led through the first. Without it
 * Linux 6.1 walks 700 000 instructions of flowdam_tc, of at most a million.
 */
static __always_inline void forget_facts(const struct view *view, struct layer4 *l4,
					 struct packet *packet)
{
	l4->ports = forget(l4->ports, view->noise, ~0u);
	packet->header_bytes = forget(packet->header_bytes, view->noise, ~0u);
	packet->protocol = forget(packet->protocol, view->noise, 0xff);
	packet->marks = forget(packet->marks, view->noise, 0xff);
	packet->tcp_flags = forget(packet->tcp_flags, view->noise, 0xff);
	packet->key[4] = l4->ports | (__u64)packet->protocol << 32;
}

/*
 * Makes the packet's key and facts those of the inner packet; bytes stay those of the outer one,
 * which is what the link carries. Returns MALFORMED(FD_REASON_TUNNEL) when the inner headers are
 * broken. What is no tunnel, or carries something else than IP, stays as it is. Works in place: a
 * copy of the packet would not fit on the stack.
 */
static __always_inline int parse_inner(const struct view *view, const struct layer3 *outer_l3,
				       const struct layer4 *outer_l4, struct packet *packet)
{
	__u32 off = outer_l4->off, bytes = packet->bytes;
	__u8 marks = packet->marks;
	struct layer3 l3 = {};
	struct layer4 l4 = {};
	int type;

	if (outer_l3->later_fragment)
		return 0;
	type = find_inner(view, packet, outer_l4, &off);
	if (type == PARSED_NOT_IP)
		return 0;
	l3.off = forget(off, view->noise, FD_L4_OFFSET_MASK);
	packet->tcp_flags = 0;
	packet->marks = 0;
	if (type < 0 || parse_ip(view, type, &l3, &l4, packet) < 0)
		return MALFORMED(FD_REASON_TUNNEL);
	packet->header_bytes += l3.off - outer_l3->off;
	packet->bytes = bytes;
	packet->marks |= marks | FD_MARK_TUNNELLED;
	return 0;
}

/* Each segment of a tunnelled GSO packet repeats the inner headers too: header_bytes grows by them.
 */
static __always_inline void add_inner_headers(const struct view *view, const struct layer3 *l3,
					      const struct layer4 *l4, struct packet *packet)
{
	struct packet inner = *packet;

	if (parse_inner(view, l3, l4, &inner) == 0)
		packet->header_bytes = inner.header_bytes;
}

#endif
