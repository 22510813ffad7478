/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The flow table of one part: records are appended to flow_log, flow_index finds them again.
 *
 * A bucket of the index is one cache line: eight one-byte tags, compared all at once in one 64-bit
 * register, and the eight slots they stand for. A flow lives in the bucket that its hash names or,
 * when that is full, in its neighbour.
 */
#ifndef FLOWDAM_FLOW_H
#define FLOWDAM_FLOW_H

#include "epoch.h"
#include "maps.h"
#include "packet.h"

#define EVERY_BYTE 0x0101010101010101ull
#define EVERY_TOP_BIT 0x8080808080808080ull
#define BUCKET_WAYS 8
/* Buckets that a flow may be in: with four, a log of 65 536 takes all but one or two flows (docs/bpf.md). */
#define BUCKET_PROBES 4

#define COUNTED (-1)

/*
 * NH of UMAC (RFC 4418 section 5.2.2): each product mixes two 32-bit words with two secret keys, so
 * two flows chosen without the keys collide with a chance of 2^-32, and the five products do not
 * wait for each other. The last multiplication spreads the sum over the upper half, from which tag
 * and bucket are taken.
 */
static __always_inline __u64 hash_words(const __u64 *words, int count)
{
	__u64 hash = 0;

#pragma unroll
	for (int i = 0; i < count; i++) {
		__u32 low = (__u32)words[i] + settings.hash_keys[2 * i];
		__u32 high = (__u32)(words[i] >> 32) + settings.hash_keys[2 * i + 1];

		hash += (__u64)low * high;
	}
	hash ^= hash >> 32;
	return hash * 0x9e3779b97f4a7c15ull;
}

/* The top bit of each byte of word that is 0. Above the lowest such byte there may be false ones.
 */
static __always_inline __u64 zero_bytes(__u64 word)
{
	return (word - EVERY_BYTE) & ~word & EVERY_TOP_BIT;
}

/* Which byte the lowest bit of mask stands in: the multiplication moves byte 7 - n of the constant,
 * n, to the top. */
static __always_inline __u32 lowest_byte(__u64 mask)
{
	return ((mask & -mask) >> 7) * 0x0001020304050607ull >> 56 & (BUCKET_WAYS - 1);
}

static __always_inline bool same_key(const __u64 *record, const __u64 *key)
{
	return !((record[0] ^ key[0]) | (record[1] ^ key[1]) | (record[2] ^ key[2]) |
		 (record[3] ^ key[3]) | (record[4] ^ key[4]));
}

static __always_inline __u64 facts_word(const struct packet *packet)
{
	return (__u64)packet->tcp_flags << 32 | (__u64)packet->dscp << 40 |
	       (__u64)packet->marks << 48 | (__u64)packet->ttl << 56;
}

/* One more packet in a record that is this part's own: no other program writes it. */
static __always_inline void add_to_record(__u64 *record, const struct packet *packet, __u32 now_ms)
{
	__u64 first = record[FD_WORD_FIRST], facts = record[FD_WORD_FACTS];
	__u32 duration = now_ms - (__u32)(first >> 32);

	if (duration > 0xffff)
		duration = 0xffff;
	record[FD_WORD_BYTES] += packet->bytes;
	record[FD_WORD_FIRST] = first + packet->packets;
	record[FD_WORD_FACTS] = (facts & ~0xffffull) | duration | (__u64)packet->tcp_flags << 32 |
				(__u64)packet->marks << 48;
}

/*
 * The first packet of a flow: every byte of the slot is written, whatever an earlier epoch left
 * there, before flows_used makes it visible to user space, which reads in place. barrier() keeps
 * the compiler's order; x86 keeps stores in order. On arm64 a reader may see flows_used first and,
 * for some nanoseconds, the slot's old content; BPF has no store-release before Linux 6.15. The
 * in-place reader computes differences and so corrects itself at its next read; drains come after
 * an RCU grace period, which orders everything.
 */
static __always_inline void write_record(__u64 *record, const struct packet *packet, __u32 now_ms)
{
#pragma unroll
	for (int i = 0; i < FD_KEY_WORDS; i++)
		record[i] = packet->key[i];
	record[FD_WORD_BYTES] = packet->bytes;
	record[FD_WORD_FACTS] = facts_word(packet);
	record[FD_WORD_FIRST] = (__u64)now_ms << 32 | packet->packets;
	barrier();
}

static __always_inline int append_flow(const struct place *place, struct index_bucket *bucket,
				       __u64 free, __u8 tag, const struct packet *packet)
{
	struct part_state *state = find_part_state(place);
	__u32 way = lowest_byte(free);
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
	bucket->slots[way] = slot;
	bucket->tags[way] = tag;
	*(volatile __u32 *)&state->flows_used = slot + 1;
	return COUNTED;
}

/* Counts the packet in its flow's record. Returns COUNTED, or the reason why it must go to
 * overflow. */
static __always_inline int count_in_flow(const struct place *place, const struct packet *packet)
{
	__u64 hash = hash_words(packet->key, FD_KEY_WORDS);
	__u32 bucket_number = hash >> 24 & (settings.index_buckets - 1);
	__u8 tag = hash >> 56;

	if (!tag)
		tag = 1;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < BUCKET_PROBES; i++) {
		__u32 key = place->flow_block * settings.index_buckets + (bucket_number ^ i);
		struct index_bucket *bucket = bpf_map_lookup_elem(&flow_index, &key);
		__u64 tags, same, free;

		if (!bucket)
			return FD_REASON_INDEX_FULL;
		tags = *(__u64 *)bucket->tags;
		same = zero_bytes(tags ^ tag * EVERY_BYTE);
		for (int way = 0; way < BUCKET_WAYS && same; way++) {
			__u64 *record;

			key = place->flow_block * settings.flow_slots +
			      bucket->slots[lowest_byte(same)];
			record = bpf_map_lookup_elem(&flow_log, &key);
			if (record && same_key(record, packet->key)) {
				add_to_record(record, packet, place->now_ms);
				return COUNTED;
			}
			same &= same - 1;
		}
		free = zero_bytes(tags);
		if (free)
			return append_flow(place, bucket, free, tag, packet);
	}
	return FD_REASON_INDEX_FULL;
}

#endif
