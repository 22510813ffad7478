/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* From the start of the frame to layer 3: Ethernet, VLAN stacks, PPPoE sessions, MPLS label stacks.
 */
#ifndef FLOWDAM_PARSE_L2_H
#define FLOWDAM_PARSE_L2_H

#include <linux/if_ether.h>

#include "packet.h"

#define MAX_VLAN_TAGS 4
#define MAX_MPLS_LABELS 8
#define ETH_P_QINQ_OLD 0x9100 /* QinQ before 802.1ad, still configured on many switches */

#define PPPOE_VERSION_TYPE 0x11
#define PPPOE_SESSION_DATA 0
#define PPP_IPV4 0x0021 /* RFC 1661 section 2; numbers: IANA "PPP DLL Protocol Numbers" */
#define PPP_IPV6 0x0057
#define PPP_MPLS 0x0281

#define MPLS_BOTTOM_OF_STACK 0x100 /* RFC 3032 section 2.1 */

struct ethernet_header {
	__u16 addresses[6];
	__be16 type;
};

struct vlan_header {
	__be16 tci;
	__be16 type;
};

struct pppoe_header {
	__u8 version_type;
	__u8 code;
	__be16 session;
	__be16 length;
	__be16 ppp_protocol;
};

static __always_inline bool is_vlan(__u16 type)
{
	return type == ETH_P_8021Q || type == ETH_P_8021AD || type == ETH_P_QINQ_OLD;
}

/* Which IP follows, by the version nibble: behind MPLS and on interfaces without Ethernet nothing
 * else tells. */
static __always_inline int type_by_version(const struct view *view, __u32 off)
{
	__u8 *first = view_at(view, off, 1);

	if (!first)
		return PARSED_NOT_IP;
	if (*first >> 4 == 4)
		return ETH_P_IP;
	if (*first >> 4 == 6)
		return ETH_P_IPV6;
	return PARSED_NOT_IP;
}

static __always_inline int parse_vlan(const struct view *view, __u32 *off, __u16 *type, __u16 *vlan)
{
	struct vlan_header *tag;

#pragma unroll
	for (int i = 0; i < MAX_VLAN_TAGS; i++) {
		if (!is_vlan(*type))
			return 0;
		tag = view_at(view, *off, sizeof(*tag));
		if (!tag)
			return MALFORMED(FD_REASON_VLAN_SHORT);
		/* A priority tag has id 0: the next id is then the outer one. */
		if (!*vlan)
			*vlan = bpf_ntohs(tag->tci) & 0xfff;
		*type = bpf_ntohs(tag->type);
		*off = forget(*off + sizeof(*tag), view->noise, FD_L4_OFFSET_MASK);
	}
	return is_vlan(*type) ? MALFORMED(FD_REASON_VLAN_DEEP) : 0;
}

static __always_inline int parse_mpls(const struct view *view, __u32 *off)
{
	__be32 *label;

#pragma unroll
	for (int i = 0; i < MAX_MPLS_LABELS; i++) {
		label = view_at(view, *off, sizeof(*label));
		if (!label)
			return MALFORMED(FD_REASON_MPLS_SHORT);
		*off = forget(*off + sizeof(*label), view->noise, FD_L4_OFFSET_MASK);
		if (bpf_ntohl(*label) & MPLS_BOTTOM_OF_STACK)
			return type_by_version(view, *off);
	}
	return MALFORMED(FD_REASON_MPLS_DEEP);
}

/* The EtherType of what follows, 0 where no IP can follow. Discovery and control (LCP, IPCP) are
 * not IP. */
static __always_inline int parse_pppoe(const struct view *view, __u32 *off)
{
	struct pppoe_header *header = view_at(view, *off, sizeof(*header));

	if (!header)
		return MALFORMED(FD_REASON_PPPOE_SHORT);
	if (header->version_type != PPPOE_VERSION_TYPE || header->code != PPPOE_SESSION_DATA)
		return PARSED_NOT_IP;
	*off = forget(*off + sizeof(*header), view->noise, FD_L4_OFFSET_MASK);
	switch (bpf_ntohs(header->ppp_protocol)) {
	case PPP_IPV4:
		return ETH_P_IP;
	case PPP_IPV6:
		return ETH_P_IPV6;
	case PPP_MPLS:
		return ETH_P_MPLS_UC;
	default:
		return PARSED_NOT_IP;
	}
}

/* From an Ethernet header at *off: moves *off to layer 3, fills *vlan, returns ETH_P_IP, ETH_P_IPV6
 * or a result. */
static __always_inline int parse_ethernet(const struct view *view, __u32 *off, __u16 *vlan)
{
	struct ethernet_header *ethernet = view_at(view, *off, sizeof(*ethernet));
	__u16 type;
	int result;

	if (!ethernet)
		return MALFORMED(FD_REASON_ETHERNET_SHORT);
	type = bpf_ntohs(ethernet->type);
	*off += sizeof(*ethernet);
	if (type == ETH_P_IP)
		return ETH_P_IP;
	if (type == ETH_P_IPV6)
		return ETH_P_IPV6;

	result = parse_vlan(view, off, &type, vlan);
	if (result < 0)
		return result;
	result = type;
	if (result == ETH_P_PPP_SES)
		result = parse_pppoe(view, off);
	if (result == ETH_P_MPLS_UC || result == ETH_P_MPLS_MC)
		result = parse_mpls(view, off);
	if (result < 0 || result == ETH_P_IP || result == ETH_P_IPV6)
		return result;
	return PARSED_NOT_IP;
}

#endif
