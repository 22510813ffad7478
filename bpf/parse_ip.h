/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Layer 3: IPv4 with options, IPv6 with extension headers, fragments of both. Fills the key and the
 * facts. */
#ifndef FLOWDAM_PARSE_IP_H
#define FLOWDAM_PARSE_IP_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "packet.h"
#include "parse_l4.h"

#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV4_FRAGMENT_OFFSET 0x1fff
#define IPV4_HEADER_MIN 20

#define IPV6_HEADER_SIZE 40
#define IPV6_MORE_FRAGMENTS 0x0001
#define IPV6_FRAGMENT_OFFSET 0xfff8
#define MAX_IPV6_EXTENSIONS 8
#define IPPROTO_HIP 139	  /* RFC 7401 */
#define IPPROTO_SHIM6 140 /* RFC 5533 */

/* Ethernet pads shorter frames (64 bytes with the checksum): only there the IP length tells payload
 * from padding. */
#define MIN_FRAME_BYTES 60

/* Where layer 4 begins and what the IP header says about its length. */
struct layer3 {
	__u32 off;
	__u32 header_size;
	__u32 size;  /* header included */
	__u32 bytes; /* as the record counts them */
	bool later_fragment;
};

/*
 * The length field is a sender's claim: it bounds what is read as layer 4, and decides bytes only
 * in a frame of minimum size. A claim beyond the frame is a truncated packet: the frame's length
 * counts.
 */
static __always_inline __u32 counted_bytes(const struct packet *packet, __u32 present,
					   __u32 claimed)
{
	if (packet->frame_bytes <= MIN_FRAME_BYTES && claimed < present)
		return claimed;
	return present;
}

static __always_inline int parse_ipv4(const struct view *view, struct layer3 *l3,
				      struct packet *packet)
{
	struct iphdr *ip = view_at(view, l3->off, sizeof(*ip));
	__u32 claimed, present;
	__u16 fragment;

	if (!ip)
		return MALFORMED(FD_REASON_IPV4_SHORT);
	l3->header_size = ip->ihl << 2;
	if (ip->version != 4 || l3->header_size < IPV4_HEADER_MIN)
		return MALFORMED(FD_REASON_IPV4_HEADER);
	present = packet->frame_bytes - l3->off;
	if (present < l3->header_size)
		return MALFORMED(FD_REASON_IPV4_SHORT);
	claimed = bpf_ntohs(ip->tot_len);
	if (!claimed && view->super)
		claimed = present;
	if (claimed < l3->header_size)
		return MALFORMED(FD_REASON_IPV4_HEADER);
	l3->bytes = counted_bytes(packet, present, claimed);
	l3->size = claimed < present ? claimed : present;

	packet->key[0] = 0;
	packet->key[1] = IPV4_MAPPED | (__u64)ip->saddr << 32;
	packet->key[2] = 0;
	packet->key[3] = IPV4_MAPPED | (__u64)ip->daddr << 32;
	packet->protocol = ip->protocol;
	packet->dscp = ip->tos >> 2;
	packet->ttl = ip->ttl;

	fragment = bpf_ntohs(ip->frag_off);
	if (fragment & (IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET))
		packet->marks |= FD_MARK_FRAGMENT;
	l3->later_fragment = fragment & IPV4_FRAGMENT_OFFSET;
	return 0;
}

/* Bit n: number n, or 128 + n, is an extension header's. */
#define IPV6_EXTENSIONS_LOW                                                             \
	(1ull << IPPROTO_HOPOPTS | 1ull << IPPROTO_ROUTING | 1ull << IPPROTO_FRAGMENT | \
	 1ull << IPPROTO_AH | 1ull << IPPROTO_DSTOPTS)
#define IPV6_EXTENSIONS_HIGH \
	(1ull << (IPPROTO_MH - 128) | 1ull << (IPPROTO_HIP - 128) | 1ull << (IPPROTO_SHIM6 - 128))

static __always_inline bool is_ipv6_extension(__u8 number)
{
	if (number & 64)
		return false;
	return (number & 128 ? IPV6_EXTENSIONS_HIGH : IPV6_EXTENSIONS_LOW) >> (number & 63) & 1;
}

/* 1 or 0, computed so that neither compiler nor verifier sees two cases in it. */
static __always_inline __u32 is_equal(__u32 a, __u32 b)
{
	__u32 equal = a ^ b;

	asm volatile("" : "+r"(equal));
	equal = (equal - 1) >> 31;
	asm volatile("" : "+r"(equal));
	return equal;
}

/*
 * Walks from the header of number packet->protocol at l3->off + l3->header_size to the first that
 * is no extension. All have the next header's number first and their length second, in units of 8
 * bytes less one (RFC 6564), but for the fragment header (8 bytes) and AH (units of 4 bytes less
 * two, RFC 4302 section 2.2). Without branches for these: the verifier would walk 3^8 ways.
 */
static __always_inline int parse_ipv6_extensions(const struct view *view, struct layer3 *l3,
						 struct packet *packet)
{
	__u8 next = packet->protocol;

#pragma unroll
	for (int i = 0; i < MAX_IPV6_EXTENSIONS; i++) {
		__u32 size, fragment, is_fragment, is_ah;
		__u8 *header;

		if (!is_ipv6_extension(next)) {
			packet->protocol = next;
			return 0;
		}
		header = view_at(view, l3->off + l3->header_size, 8);
		if (!header || l3->header_size + 8 > l3->size)
			return MALFORMED(FD_REASON_IPV6_EXT_SHORT);
		is_fragment = is_equal(next, IPPROTO_FRAGMENT);
		is_ah = is_equal(next, IPPROTO_AH);
		next = header[0];

		size = ((__u32)header[1] + 1 + is_ah) << (3 - is_ah);
		size = (size & (is_fragment - 1)) | is_fragment << 3;
		size += l3->header_size;
		if (size > FD_L3_HEADER_MASK)
			return MALFORMED(FD_REASON_IPV6_EXT_DEEP);
		l3->header_size = forget(size, view->noise, FD_L3_HEADER_MASK);
		if (l3->header_size > l3->size)
			return MALFORMED(FD_REASON_IPV6_EXT_SHORT);

		fragment = ((__u32)header[2] << 8 | header[3]) & -is_fragment;
		/* Offset 0 and no more to come: an atomic fragment (RFC 6946), a whole packet. */
		if (fragment & (IPV6_MORE_FRAGMENTS | IPV6_FRAGMENT_OFFSET))
			packet->marks |= FD_MARK_FRAGMENT;
		if (fragment & IPV6_FRAGMENT_OFFSET) {
			l3->later_fragment = true;
			packet->protocol = next;
			return 0;
		}
	}
	packet->protocol = next;
	return is_ipv6_extension(next) ? MALFORMED(FD_REASON_IPV6_EXT_DEEP) : 0;
}

static __always_inline int parse_ipv6(const struct view *view, struct layer3 *l3,
				      struct packet *packet)
{
	struct ipv6hdr *ip = view_at(view, l3->off, sizeof(*ip));
	__u32 claimed, present, first;

	if (!ip)
		return MALFORMED(FD_REASON_IPV6_SHORT);
	if (ip->version != 6)
		return MALFORMED(FD_REASON_IPV6_HEADER);
	present = packet->frame_bytes - l3->off;
	claimed = IPV6_HEADER_SIZE + bpf_ntohs(ip->payload_len);
	l3->bytes = counted_bytes(packet, present, claimed);
	/* 0: a jumbogram (RFC 2675), or no payload at all; either way the frame's length says what
	 * is there. */
	l3->size = claimed < present && claimed > IPV6_HEADER_SIZE ? claimed : present;
	l3->header_size = IPV6_HEADER_SIZE;

	packet->key[0] = ((__u64 *)&ip->saddr)[0];
	packet->key[1] = ((__u64 *)&ip->saddr)[1];
	packet->key[2] = ((__u64 *)&ip->daddr)[0];
	packet->key[3] = ((__u64 *)&ip->daddr)[1];
	packet->protocol = ip->nexthdr;
	first = bpf_ntohl(*(__be32 *)ip);
	packet->dscp = first >> 22 & 0x3f;
	packet->ttl = ip->hop_limit;
	return parse_ipv6_extensions(view, l3, packet);
}

/* From the IP header at l3->off, of EtherType type. Fills the key but for interface and VLAN. */
static __always_inline int parse_ip(const struct view *view, int type, struct layer3 *l3,
				    struct layer4 *l4, struct packet *packet)
{
	int result = type == ETH_P_IP ? parse_ipv4(view, l3, packet) : parse_ipv6(view, l3, packet);

	if (result < 0)
		return result;
	l4->off = forget(l3->off + l3->header_size, view->noise, FD_L4_OFFSET_MASK);
	l4->size = l3->size - l3->header_size;
	l4->header_size = 0;
	l4->ports = 0;
	if (!l3->later_fragment) {
		result = parse_l4(view, l4, packet);
		if (result < 0)
			return result;
	}
	packet->bytes = l3->bytes;
	packet->header_bytes = l3->header_size + l4->header_size;
	packet->key[4] = l4->ports | (__u64)packet->protocol << 32;
	return 0;
}

#endif
