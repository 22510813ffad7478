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
 * Counts the packet by what parsing said. Returns 1 when it shall be dropped. A global function: the
 * verifier checks it once, by itself, and not for each way that leads through parsing.
 */
__weak __noinline int count_packet(const struct place *place, int parsed, struct packet *packet)
{
	struct ledger *ledger;
	bool dropped = false;
	int reason;
	__u32 key;

	if (!place || !packet)
		return 0;
	key = place->block * FD_MAX_IFACES + place->iface;
	ledger = bpf_map_lookup_elem(&ledgers, &key);
	if (!ledger)
		return 0;
	add_pair(place, &ledger->seen_packets, &ledger->seen_bytes, packet);
	if (parsed < 0) {
		add_pair(place, &ledger->malformed_packets, &ledger->malformed_bytes, packet);
		count_reason(place, MALFORMED_REASON(parsed), packet->packets);
		return 0;
	}
	if (parsed == PARSED_NOT_IP) {
		add_pair(place, &ledger->not_ip_packets, &ledger->not_ip_bytes, packet);
		return 0;
	}

	packet->key[4] |= (__u64)packet->vlan << 48 |
			  (__u64)(place->iface | (place->direction ? FD_IFACE_EGRESS : 0)) << 40;
	if (settings.drop_rules && is_dropped(place, packet)) {
		dropped = true;
		packet->marks |= FD_MARK_DROPPED;
		add_pair(place, &ledger->dropped_packets, &ledger->dropped_bytes, packet);
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
