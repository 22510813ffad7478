// SPDX-License-Identifier: Apache-2.0
//
// Which flows there are. Everything comes from the seed, and no two flows have the same key: a
// flow's number is spread over (ephemeral port, far host), the rest is drawn by hash.
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "traffic.h"

#define EPHEMERAL_FIRST 1024
#define EPHEMERAL_COUNT 64000

#define TCP_SYN 0x02
#define TCP_PSH_ACK 0x18
#define TCP_ACK 0x10

/* Far and near ends, so that the same code makes both directions. */
struct ends {
	uint8_t remote[16];
	uint8_t local[16];
	uint16_t remote_port;
	uint16_t local_port;
};

/* splitmix64's finalizer: any two seeds give unrelated sequences. */
uint64_t mix64(uint64_t value)
{
	value += 0x9e3779b97f4a7c15ULL;
	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
	value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
	return value ^ (value >> 31);
}

/* Distinct for distinct numbers as long as there are fewer than 64 000 flows per far host. */
static uint16_t ephemeral_port(uint64_t number)
{
	return EPHEMERAL_FIRST + number % EPHEMERAL_COUNT;
}

static uint64_t far_host(uint64_t number, uint64_t seed)
{
	return mix64(seed ^ (number % EPHEMERAL_COUNT)) % 0xffffffff + number / EPHEMERAL_COUNT;
}

static void make_mix(struct flow *flow, struct ends *ends, uint64_t number, uint64_t *pings,
		     const struct options *options)
{
	static const uint16_t services[] = {443, 443, 443, 80, 25, 22, 993, 8443};
	uint64_t random = mix64(options->seed * 31 + number);
	const struct prefix *remote, *local;
	unsigned int kind = (random >> 8) % 100;
	uint16_t service = services[(random >> 16) % 8];

	flow->v6 = random % 100 < options->ipv6_percent;
	remote = flow->v6 ? &options->remote6 : &options->remote4;
	local = flow->v6 ? &options->local6 : &options->local4;
	flow->ttl = 48 + (random >> 24) % 16;
	flow->dscp = (random >> 32) % 10 == 0 ? 46 : 0;
	prefix_host(remote, far_host(number, options->seed), ends->remote);
	/* Few of the many possible IPv6 hosts exist. */
	prefix_host(local, (random >> 36) % 200, ends->local);

	if (kind < 3) {
		/* No ports to tell flows apart: walk over pairs of hosts. */
		uint64_t pair = pings[flow->v6]++;
		uint64_t hosts = prefix_hosts(local) < 200 ? prefix_hosts(local) : 200;

		flow->protocol = flow->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
		prefix_host(local, pair % hosts, ends->local);
		prefix_host(remote, pair / hosts, ends->remote);
		if (pair / hosts >= prefix_hosts(remote)) {
			fprintf(stderr, "flowdam-traffic: too many flows for the prefixes\n");
			exit(2);
		}
		flow->layer3[0] = flow->layer3[1] = 84;
		return;
	}
	if (kind < 75) {
		flow->protocol = IPPROTO_TCP;
		flow->tcp_flags = (random >> 40) % 4 == 0 ? TCP_PSH_ACK : TCP_ACK;
		flow->layer3[0] = 40;
		flow->layer3[1] = 576 + (random >> 44) % 925;
	} else {
		flow->protocol = IPPROTO_UDP;
		service = (random >> 42) % 4 == 0 ? 53 : 443;
		flow->layer3[0] = 60 + (random >> 44) % 60;
		flow->layer3[1] = 500 + (random >> 44) % 900;
	}
	/* Half of the flows are ours to their services, half theirs to ours. */
	if ((random >> 33) & 1) {
		ends->remote_port = service;
		ends->local_port = ephemeral_port(number);
	} else {
		ends->remote_port = ephemeral_port(number);
		ends->local_port = service;
	}
}

static void make_flood(struct flow *flow, struct ends *ends, uint64_t number,
		       const struct options *options)
{
	uint64_t random = mix64(options->seed * 31 + number);
	bool spoofed = options->profile == PROFILE_SPOOFED_FLOOD ||
		       options->profile == PROFILE_ICMP_FLOOD ||
		       options->profile == PROFILE_FRAGMENT_FLOOD;
	const struct prefix *sources;
	unsigned int size = 0;

	flow->v6 = options->victim.v6;
	flow->ttl = 32 + (random >> 24) % 32;
	/* Of a prefix, all its hosts in turn. */
	prefix_host(&options->victim, number, ends->local);
	if (spoofed) {
		sources = flow->v6 ? &options->spoofed6 : &options->spoofed4;
		/* A prime that does not divide the number of hosts visits each of them once. */
		prefix_host(sources, number * 2654435761ULL % prefix_hosts(sources), ends->remote);
	} else {
		sources = flow->v6 ? &options->remote6 : &options->remote4;
		prefix_host(sources, far_host(number, options->seed), ends->remote);
	}
	ends->remote_port = ephemeral_port(number);
	ends->local_port = 1 + (random >> 8) % 65535;

	switch (options->profile) {
	case PROFILE_SYN_FLOOD:
	case PROFILE_ACK_FLOOD:
		flow->protocol = IPPROTO_TCP;
		flow->tcp_flags = options->profile == PROFILE_SYN_FLOOD ? TCP_SYN : TCP_ACK;
		ends->local_port = random & 256 ? 443 : 80;
		size = 40;
		break;
	case PROFILE_PORT_SCAN: {
		/* One host knocks at each port of each host, hosts first. */
		uint64_t hosts = prefix_hosts(&options->victim);

		flow->protocol = IPPROTO_TCP;
		flow->tcp_flags = TCP_SYN;
		prefix_host(sources, 6, ends->remote);
		ends->remote_port = 40000;
		ends->local_port = 1 + number / hosts % 65535;
		size = 44;
		break;
	}
	case PROFILE_ICMP_FLOOD:
		flow->protocol = flow->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
		size = 84;
		break;
	case PROFILE_AMPLIFICATION:
		flow->protocol = IPPROTO_UDP;
		ends->remote_port = options->reflector_port;
		ends->local_port = ephemeral_port(number);
		size = 1200 + random % 280;
		break;
	case PROFILE_FRAGMENT_FLOOD:
		flow->protocol = IPPROTO_UDP;
		flow->later_fragment = true;
		size = 1400;
		break;
	case PROFILE_SPOOFED_FLOOD:
		flow->protocol = random & 512 ? IPPROTO_UDP : IPPROTO_TCP;
		flow->tcp_flags = flow->protocol == IPPROTO_TCP ? TCP_SYN : 0;
		size = flow->protocol == IPPROTO_TCP ? 40 : 128;
		break;
	default:
		flow->protocol = IPPROTO_UDP;
		size = 512;
	}
	flow->layer3[0] = flow->layer3[1] = size;
}

static void finish(struct flow *flow, const struct ends *ends, uint64_t number,
		   const struct options *options)
{
	bool out = options->outgoing;

	for (int i = 0; i < 16; i++) {
		flow->source[i] = out ? ends->local[i] : ends->remote[i];
		flow->dest[i] = out ? ends->remote[i] : ends->local[i];
	}
	flow->source_port = out ? ends->local_port : ends->remote_port;
	flow->dest_port = out ? ends->remote_port : ends->local_port;
	if (flow->protocol == IPPROTO_ICMP) {
		flow->source_port = out ? 0 : 8; /* echo reply, echo request */
		flow->dest_port = 0;
	} else if (flow->protocol == IPPROTO_ICMPV6) {
		flow->source_port = out ? 129 : 128;
		flow->dest_port = 0;
	} else if (flow->later_fragment) {
		flow->source_port = flow->dest_port = 0;
	}
	if (mix64(options->seed + number * 7) % 100 < options->vlan_percent)
		flow->vlan = options->vlan;
	if (options->size)
		flow->layer3[0] = flow->layer3[1] = options->size;
	build_headers(flow, options);
}

struct flow *make_flows(const struct options *options)
{
	struct flow *flows = calloc(options->flows, sizeof(*flows));
	uint64_t pings[2] = {0, 0};

	if (!flows) {
		fprintf(stderr, "flowdam-traffic: no memory for %llu flows\n",
			(unsigned long long)options->flows);
		exit(1);
	}
	for (uint64_t number = 0; number < options->flows; number++) {
		struct ends ends = {0};

		if (options->profile == PROFILE_MIX)
			make_mix(&flows[number], &ends, number, pings, options);
		else
			make_flood(&flows[number], &ends, number, options);
		finish(&flows[number], &ends, number, options);
	}
	return flows;
}
