// SPDX-License-Identifier: Apache-2.0
//
// Ethernet, VLAN, IPv4, IPv6, TCP, UDP and ICMP headers, with right checksums. Payloads are zeros,
// so that a checksum is that of the headers.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "traffic.h"

/* Anything but 0: an offset of 1480 bytes, and "more fragments". */
#define LATER_FRAGMENT_OFFSET (1480 / 8)

static void put16(uint8_t *at, uint16_t value)
{
	at[0] = value >> 8;
	at[1] = value;
}

static uint32_t sum16(uint32_t sum, const uint8_t *bytes, unsigned int length)
{
	for (unsigned int i = 0; i + 1 < length; i += 2)
		sum += (bytes[i] << 8) | bytes[i + 1];
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static unsigned int transport_length(const struct flow *flow)
{
	if (flow->later_fragment)
		return 0;
	switch (flow->protocol) {
	case IPPROTO_TCP:
		return 20;
	default:
		return 8;
	}
}

static unsigned int network_length(const struct flow *flow)
{
	if (!flow->v6)
		return 20;
	return flow->later_fragment ? 48 : 40;
}

static uint8_t *put_ethernet(uint8_t *at, const struct flow *flow, const struct options *options)
{
	memcpy(at, options->dest_mac, 6);
	memcpy(at + 6, options->source_mac, 6);
	at += 12;
	if (flow->vlan) {
		put16(at, ETH_P_8021Q);
		put16(at + 2, flow->vlan);
		at += 4;
	}
	put16(at, flow->v6 ? ETH_P_IPV6 : ETH_P_IP);
	return at + 2;
}

static void put_ipv4(uint8_t *at, const struct flow *flow, unsigned int layer3)
{
	at[0] = 0x45;
	at[1] = flow->dscp << 2;
	put16(at + 2, layer3);
	put16(at + 6, flow->later_fragment ? LATER_FRAGMENT_OFFSET | 0x2000 : 0);
	at[8] = flow->ttl;
	at[9] = flow->protocol;
	memcpy(at + 12, flow->source, 4);
	memcpy(at + 16, flow->dest, 4);
	put16(at + 10, fold(sum16(0, at, 20)));
}

static void put_ipv6(uint8_t *at, const struct flow *flow, unsigned int layer3)
{
	at[0] = 0x60 | (flow->dscp >> 2);
	at[1] = (flow->dscp & 3) << 6;
	put16(at + 4, layer3 - 40);
	at[6] = flow->later_fragment ? IPPROTO_FRAGMENT : flow->protocol;
	at[7] = flow->ttl;
	memcpy(at + 8, flow->source, 16);
	memcpy(at + 24, flow->dest, 16);
	if (flow->later_fragment) {
		at[40] = flow->protocol;
		put16(at + 42, LATER_FRAGMENT_OFFSET << 3 | 1);
	}
}

static void put_transport(uint8_t *at, const struct flow *flow, unsigned int length)
{
	unsigned int address = flow->v6 ? 16 : 4;
	uint32_t pseudo = flow->protocol + length;
	unsigned int checksum;

	pseudo = sum16(sum16(pseudo, flow->source, address), flow->dest, address);
	switch (flow->protocol) {
	case IPPROTO_TCP:
		put16(at, flow->source_port);
		put16(at + 2, flow->dest_port);
		at[12] = 5 << 4;
		at[13] = flow->tcp_flags;
		put16(at + 14, 65535);
		checksum = 16;
		break;
	case IPPROTO_UDP:
		put16(at, flow->source_port);
		put16(at + 2, flow->dest_port);
		put16(at + 4, length);
		checksum = 6;
		break;
	default:
		at[0] = flow->source_port;
		at[1] = flow->dest_port;
		checksum = 2;
		/* Only ICMPv6 has a pseudo header (RFC 4443 section 2.3). */
		if (!flow->v6)
			pseudo = 0;
	}
	uint16_t value = fold(sum16(pseudo, at, transport_length(flow)));

	/* RFC 768: a computed 0 is sent as all ones. */
	put16(at + checksum, value == 0 && flow->protocol == IPPROTO_UDP ? 0xffff : value);
}

void build_headers(struct flow *flow, const struct options *options)
{
	unsigned int network = network_length(flow);
	unsigned int transport = transport_length(flow);
	unsigned int link = flow->vlan ? 18 : 14;

	flow->header_length = link + network + transport;
	for (int size = 0; size < SIZES; size++) {
		uint8_t *at;

		if (flow->layer3[size] < network + transport)
			flow->layer3[size] = network + transport;
		at = put_ethernet(flow->header[size], flow, options);
		if (flow->v6)
			put_ipv6(at, flow, flow->layer3[size]);
		else
			put_ipv4(at, flow, flow->layer3[size]);
		if (transport)
			put_transport(at + network, flow, flow->layer3[size] - network);
	}
}

unsigned int frame_length(const struct flow *flow, int size)
{
	unsigned int length = (flow->vlan ? 18 : 14) + flow->layer3[size];

	return length < FRAME_MIN ? FRAME_MIN : length;
}
