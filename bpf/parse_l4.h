/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Layer 4: ports or ICMP type and code, TCP flags. */
#ifndef FLOWDAM_PARSE_L4_H
#define FLOWDAM_PARSE_L4_H

#include <linux/in.h>
#include <linux/in6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "packet.h"

#define TCP_FLAGS_OFFSET 13
#define TCP_SYN 0x02
#define TCP_ACK 0x10

#define SCTP_HEADER_SIZE 12
#define DCCP_HEADER_SIZE 12
#define ICMP_HEADER_SIZE 8
#define ICMPV6_HEADER_SIZE 4
/* A first fragment carries at least 8 bytes (the unit of the fragment offset): enough for ports,
 * not for all of TCP. */
#define FRAGMENT_UNIT 8

/* What follows layer 3: where, how long by the IP header, and the ports read from it. */
struct layer4 {
	__u32 off;
	__u32 size;
	__u32 header_size;
	__u32 ports; /* source port | destination port << 16, host order */
};

static __always_inline int parse_tcp(const struct view *view, struct layer4 *l4,
				     struct packet *packet)
{
	__u8 *tcp = view_at(view, l4->off, sizeof(struct tcphdr));

	if (!tcp || l4->size < sizeof(struct tcphdr))
		return packet->marks & FD_MARK_FRAGMENT ? 0 : MALFORMED(FD_REASON_L4_SHORT);
	l4->header_size = tcp[TCP_FLAGS_OFFSET - 1] >> 4 << 2;
	if (l4->header_size < sizeof(struct tcphdr))
		return MALFORMED(FD_REASON_L4_HEADER);
	packet->tcp_flags = tcp[TCP_FLAGS_OFFSET];
	return 0;
}

static __always_inline int parse_l4(const struct view *view, struct layer4 *l4,
				    struct packet *packet)
{
	__be16 *ports;
	__u32 size;

	switch (packet->protocol) {
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6: {
		__u8 *icmp = view_at(view, l4->off, 2);

		size = packet->protocol == IPPROTO_ICMP ? ICMP_HEADER_SIZE : ICMPV6_HEADER_SIZE;
		if (!icmp || l4->size < size)
			return MALFORMED(FD_REASON_L4_SHORT);
		l4->ports = icmp[0] | (__u32)icmp[1] << 16;
		l4->header_size = size;
		return 0;
	}
	case IPPROTO_TCP:
		size = FRAGMENT_UNIT; /* the rest is looked at in parse_tcp() */
		break;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		size = sizeof(struct udphdr);
		break;
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
		size = packet->marks & FD_MARK_FRAGMENT ? FRAGMENT_UNIT : SCTP_HEADER_SIZE;
		break;
	default:
		return 0;
	}

	ports = view_at(view, l4->off, FRAGMENT_UNIT);
	if (!ports || l4->size < size)
		return MALFORMED(FD_REASON_L4_SHORT);
	l4->ports = bpf_ntohs(ports[0]) | (__u32)bpf_ntohs(ports[1]) << 16;
	l4->header_size = size;
	if (packet->protocol == IPPROTO_TCP)
		return parse_tcp(view, l4, packet);
	/* 0 is a UDP jumbogram's (RFC 2675 section 4); 1 to 7 cannot be: the length includes the
	 * header. */
	if (packet->protocol == IPPROTO_UDP) {
		__u16 length = bpf_ntohs(ports[2]);

		if (length && length < sizeof(struct udphdr))
			return MALFORMED(FD_REASON_L4_HEADER);
	}
	return 0;
}

#endif
