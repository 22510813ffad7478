/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Layouts of the index that were tried and lost to bpf/flow.h (docs/bpf.md has the figures): 32-bit entries of an
 * 11-bit tag and slot + 1, probed one after the other.
 *   linear  anywhere in the table, each probe a map lookup
 *   line    within one cache line of 16, one map lookup
 */
#ifndef FLOWDAM_OTHER_INDEX_H
#define FLOWDAM_OTHER_INDEX_H

#include "../flow.h"

#define SLOT_BITS 21
#define SLOT_MASK ((1u << SLOT_BITS) - 1)
#define PROBES 8
#define LINE_WAYS 16

struct index_line {
	__u32 entries[LINE_WAYS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} linear_index SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct index_line);
} line_index SEC(".maps");

static __always_inline int append_other(const struct place *place, __u32 *entry, __u32 tag,
					const struct packet *packet)
{
	struct part_state *state = find_part_state(place);
	__u32 slot, key;
	__u64 *record;

	if (!state)
		return FD_REASON_LOG_FULL;
	slot = state->flows_used;
	if (slot >= settings.flow_slots)
		return FD_REASON_LOG_FULL;
	key = place->flow_block * settings.flow_slots + slot;
	record = bpf_map_lookup_elem(&flow_log, &key);
	if (!record)
		return FD_REASON_LOG_FULL;
	write_record(record, packet, place->now_ms);
	*entry = tag | (slot + 1);
	*(volatile __u32 *)&state->flows_used = slot + 1;
	return COUNTED;
}

/* 1: counted here; 0: another flow's; -1: free. */
static __always_inline int try_entry(const struct place *place, __u32 entry, __u32 tag,
				     const struct packet *packet)
{
	__u32 key;
	__u64 *record;

	if (!entry)
		return -1;
	if ((entry & ~SLOT_MASK) != tag)
		return 0;
	key = place->flow_block * settings.flow_slots + (entry & SLOT_MASK) - 1;
	record = bpf_map_lookup_elem(&flow_log, &key);
	if (!record || !same_key(record, packet->key))
		return 0;
	add_to_record(record, packet, place->now_ms);
	return 1;
}

static __always_inline int count_linear(const struct place *place, const struct packet *packet)
{
	__u64 hash = hash_words(packet->key, FD_KEY_WORDS);
	__u32 tag = (__u32)(hash >> 32) & ~SLOT_MASK;
	/* Four entries for each slot, as many bytes as the other layouts have. */
	__u32 mask = settings.index_buckets * 16 - 1;

	for (__u32 i = 0; i < PROBES; i++) {
		__u32 key = place->flow_block * (mask + 1) + ((hash + i) & mask);
		__u32 *entry = bpf_map_lookup_elem(&linear_index, &key);
		int tried;

		if (!entry)
			return FD_REASON_INDEX_FULL;
		tried = try_entry(place, *entry, tag, packet);
		if (tried > 0)
			return COUNTED;
		if (tried < 0)
			return append_other(place, entry, tag, packet);
	}
	return FD_REASON_INDEX_FULL;
}

static __always_inline int count_line(const struct place *place, const struct packet *packet)
{
	__u64 hash = hash_words(packet->key, FD_KEY_WORDS);
	__u32 tag = (__u32)(hash >> 32) & ~SLOT_MASK;
	__u32 key = place->flow_block * settings.index_buckets +
		    (hash >> 8 & (settings.index_buckets - 1));
	struct index_line *line = bpf_map_lookup_elem(&line_index, &key);

	if (!line)
		return FD_REASON_INDEX_FULL;
	for (__u32 i = 0; i < PROBES; i++) {
		__u32 *entry = &line->entries[(hash + i) & (LINE_WAYS - 1)];
		int tried = try_entry(place, *entry, tag, packet);

		if (tried > 0)
			return COUNTED;
		if (tried < 0)
			return append_other(place, entry, tag, packet);
	}
	return FD_REASON_INDEX_FULL;
}

#endif
