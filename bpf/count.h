/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* One parsed packet into ledger, flow table or overflow. The same for both directions. */
#ifndef FLOWDAM_COUNT_H
#define FLOWDAM_COUNT_H

#include "drop.h"
#include "epoch.h"
#include "flow.h"
#include "maps.h"
#include "overflow.h"
#include "packet.h"

/* The stray parts are shared by CPUs; all others are written by one program on one CPU. */
static __always_inline void add_pair(const struct place *place, __u64 *packets, __u64 *bytes,
				     const struct packet *packet)
{
	if (place->stray) {
		add_atomic(packets, packet->packets);
		add_atomic(bytes, packet->bytes);
	} else {
		*packets += packet->packets;
		*bytes += packet->bytes;
	}
}

/*
 * Of what was parsed the verifier now knows nothing any more, so that it walks the counting once and
 * not for each way that leads through parsing: Linux 6.1 would walk more than a million instructions.
 */
static __always_inline void forget_parsing(__u64 noise, struct packet *packet)
{
#pragma unroll
	for (int i = 0; i < FD_KEY_WORDS; i++)
		asm volatile("%0 ^= %1\n\t%0 ^= %1" : "+r"(packet->key[i]) : "r"(noise));
	packet->bytes = forget(packet->bytes, noise, ~0u);
	packet->packets = forget(packet->packets, noise, ~0u);
	packet->marks = forget(packet->marks, noise, 0xff);
	packet->tcp_flags = forget(packet->tcp_flags, noise, 0xff);
	packet->dscp = forget(packet->dscp, noise, 0xff);
	packet->ttl = forget(packet->ttl, noise, 0xff);
}

/* Counts the packet by what parsing said. Returns true when it shall be dropped. */
static __always_inline bool count_packet(const struct place *place, int parsed,
					 struct packet *packet)
{
	__u32 key = place->block * FD_MAX_IFACES + place->iface;
	struct ledger *ledger = bpf_map_lookup_elem(&ledgers, &key);
	bool dropped = false;
	int reason;

	if (!ledger)
		return false;
	add_pair(place, &ledger->seen_packets, &ledger->seen_bytes, packet);
	if (parsed < 0) {
		add_pair(place, &ledger->malformed_packets, &ledger->malformed_bytes, packet);
		count_reason(place, MALFORMED_REASON(parsed), packet->packets);
		return false;
	}
	if (parsed == PARSED_NOT_IP) {
		add_pair(place, &ledger->not_ip_packets, &ledger->not_ip_bytes, packet);
		return false;
	}

	forget_parsing(place->noise, packet);
	packet->key[4] |= (__u64)packet->vlan << 48 |
			  (__u64)(place->iface | (place->direction ? FD_IFACE_EGRESS : 0)) << 40;
	if (settings.drop_rules) {
		if (is_dropped(place, packet)) {
			dropped = true;
			packet->marks |= FD_MARK_DROPPED;
			add_pair(place, &ledger->dropped_packets, &ledger->dropped_bytes, packet);
		}
		/* As in forget_parsing(). */
		dropped = forget(dropped, place->noise, 1);
		packet->marks = forget(packet->marks, place->noise, 0xff);
	}
	reason = place->stray ? FD_REASON_STRAY_CPU : count_in_flow(place, packet);
	if (reason == COUNTED) {
		add_pair(place, &ledger->flow_packets, &ledger->flow_bytes, packet);
	} else {
		add_pair(place, &ledger->overflow_packets, &ledger->overflow_bytes, packet);
		count_in_overflow(place, packet, reason);
	}
	return dropped;
}

#endif
