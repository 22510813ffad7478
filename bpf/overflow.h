/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What has no room in the flow table is counted by the address that may be ours: the destination on
 * ingress, the source on egress. Detection's classes (protocol, SYN without ACK, fragments,
 * dropped) stay apart, so that every rate of a victim is exact though its flows are not known. What
 * finds no place here goes to "other".
 */
#ifndef FLOWDAM_OVERFLOW_H
#define FLOWDAM_OVERFLOW_H

#include "epoch.h"
#include "flow.h"
#include "maps.h"
#include "parse_l4.h"

#define OVERFLOW_PROBES 8
#define OVERFLOW_MARKS (FD_MARK_FRAGMENT | FD_MARK_DROPPED | FD_MARK_TUNNELLED | FD_MARK_OVERFLOW)

/* SYN without ACK. The OR over packets of one class keeps it: a class that has both flags never had
 * SYN alone. */
static __always_inline bool is_first_syn(__u8 tcp_flags)
{
	return (tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

static __always_inline __u8 facts_flags(__u64 facts)
{
	return facts >> 32;
}

static __always_inline __u8 facts_marks(__u64 facts)
{
	return facts >> 48;
}

static __always_inline void count_reason(const struct place *place, __u32 reason, __u32 packets)
{
	struct part_state *state = find_part_state(place);

	/* The compiler may know that it is always in range; the verifier must see it checked. */
	asm volatile("" : "+r"(reason));
	if (!state || reason >= FD_REASON_COUNT)
		return;
	if (place->stray)
		add_atomic(&state->reasons[reason], packets);
	else
		state->reasons[reason] += packets;
}

/* The packet as overflow knows it: one address, no ports, no VLAN. */
static __always_inline void reduce_key(const struct place *place, struct packet *packet)
{
	if (place->direction == DIRECTION_INGRESS)
		packet->key[0] = packet->key[1] = 0;
	else
		packet->key[2] = packet->key[3] = 0;
	packet->key[4] &= 0x0000ffff00000000ull; /* protocol and iface stay */
	packet->marks |= FD_MARK_OVERFLOW;
}

static __always_inline void count_in_other(const struct place *place, struct packet *packet)
{
	__u32 key = place->block * FD_OVERFLOW_SLOTS + FD_OVERFLOW_OTHER + place->iface;
	struct flow_record *record = bpf_map_lookup_elem(&overflow_log, &key);
	struct part_state *state = find_part_state(place);

	if (!record || !state)
		return;
	packet->key[0] = packet->key[1] = packet->key[2] = packet->key[3] = 0;
	packet->key[4] &= 0x0000ff0000000000ull;
	if (place->stray) {
		/* Several CPUs: the same constants by each, the counters by atomics; no times. */
		((__u64 *)record)[4] = packet->key[4];
		record->marks = FD_MARK_OVERFLOW;
		state->overflow_used = FD_MAX_IFACES;
		add_atomic(&record->bytes, packet->bytes);
		add_atomic(&record->packets, packet->packets);
		return;
	}
	if (record->packets) {
		add_to_record((__u64 *)record, packet, place->now_ms);
		return;
	}
	write_record((__u64 *)record, packet, place->now_ms);
	state->overflow_used++;
}

/* Returns false when no slot within the probes is free or this packet's own. */
static __always_inline bool count_by_address(const struct place *place, struct packet *packet)
{
	bool syn = is_first_syn(packet->tcp_flags);
	__u8 marks = packet->marks & OVERFLOW_MARKS;
	__u64 hashed[3] = {packet->key[0] | packet->key[2], packet->key[1] | packet->key[3],
			   packet->key[4] | (__u64)marks << 8 | syn};
	__u32 start = (hash_words(hashed, 3) >> 32) * FD_OVERFLOW_OTHER >> 32;

	for (__u32 i = 0; i < OVERFLOW_PROBES; i++) {
		__u32 slot = start + i, key;
		__u64 *record, facts;

		if (slot >= FD_OVERFLOW_OTHER)
			slot -= FD_OVERFLOW_OTHER;
		key = place->block * FD_OVERFLOW_SLOTS + slot;
		record = bpf_map_lookup_elem(&overflow_log, &key);
		if (!record)
			return false;
		if (!(__u32)record[FD_WORD_FIRST]) {
			struct part_state *state = find_part_state(place);

			write_record(record, packet, place->now_ms);
			if (state)
				state->overflow_used++;
			return true;
		}
		facts = record[FD_WORD_FACTS];
		if (same_key(record, packet->key) &&
		    (facts_marks(facts) & OVERFLOW_MARKS) == marks &&
		    is_first_syn(facts_flags(facts)) == syn) {
			add_to_record(record, packet, place->now_ms);
			return true;
		}
	}
	return false;
}

/*
 * A global function: the verifier checks it once, by itself, and not for each way that leads to it.
 * It returns a value because kernels before 6.8 do not take a void one.
 */
__weak __noinline int count_in_overflow(const struct place *place, struct packet *packet,
					int reason)
{
	if (!place || !packet)
		return 0;
	count_reason(place, reason, packet->packets);
	reduce_key(place, packet);
	if (!place->stray) {
		if (count_by_address(place, packet))
			return 0;
		count_reason(place, FD_REASON_OVERFLOW_FULL, packet->packets);
	}
	count_in_other(place, packet);
	return 0;
}

#endif
