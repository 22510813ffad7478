// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What counting costs, one program for each table. All parse the same packet by the same parser, then take the next
 * flow from a list that user space wrote and put it into the key, so that every run of the program is another flow.
 * Run by scripts/bench/xdp-cost.ts.
 */
#include "../count.h"
#include "../parse.h"
#include "other_index.h"

#define CHOICES (1u << 20)

struct bench_state {
	__u32 next;
	__u32 unused[15];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bench_state);
} bench_state SEC(".maps");

/* Numbers of flows, in the order in which they come. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, CHOICES);
	__type(key, __u32);
	__type(value, __u64);
} bench_choices SEC(".maps");

/* What the others keep of a flow: as much as the record has besides the key. */
struct flow_key {
	__u64 words[FD_KEY_WORDS];
};

struct flow_counts {
	__u64 bytes;
	__u32 packets;
	__u32 first_ms;
	__u64 facts;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct flow_key);
	__type(value, struct flow_counts);
} percpu_hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct flow_key);
	__type(value, struct flow_counts);
} shared_hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct flow_key);
	__type(value, struct flow_counts);
} lru_hash SEC(".maps");

static __always_inline bool next_packet(struct xdp_md *ctx, struct packet *packet)
{
	struct view view = {.data = (void *)(long)ctx->data,
			    .end = (void *)(long)ctx->data_end,
			    .noise = ctx->rx_queue_index};
	__u32 zero = 0, index;
	struct bench_state *state = bpf_map_lookup_elem(&bench_state, &zero);
	__u64 *choice;

	if (!state)
		return false;
	packet->frame_bytes = ctx->data_end - ctx->data;
	packet->packets = 1;
	packet->vlan = 0;
	if (parse_packet(&view, true, packet) <= 0)
		return false;
	index = state->next++ & (CHOICES - 1);
	choice = bpf_map_lookup_elem(&bench_choices, &index);
	if (!choice)
		return false;
	packet->key[1] = IPV4_MAPPED | *choice << 32;
	return true;
}

SEC("xdp")
int bench_parse(struct xdp_md *ctx)
{
	struct packet packet;

	if (!next_packet(ctx, &packet))
		return XDP_ABORTED;
	asm volatile("" : : "r"(&packet) : "memory");
	return XDP_PASS;
}

/* As flowdam_xdp, ledger and all. */
SEC("xdp")
int bench_ours(struct xdp_md *ctx)
{
	struct packet packet;
	struct place place;

	if (!next_packet(ctx, &packet) ||
	    !find_place(ctx->ingress_ifindex, DIRECTION_INGRESS, &place))
		return XDP_ABORTED;
	return count_packet(&place, ETH_P_IP, &packet) ? XDP_DROP : XDP_PASS;
}

static __always_inline void count_ledger(const struct place *place, const struct packet *packet)
{
	__u32 key = place->block * FD_MAX_IFACES + place->iface;
	struct ledger *ledger = bpf_map_lookup_elem(&ledgers, &key);

	if (!ledger)
		return;
	add_pair(place, &ledger->seen_packets, &ledger->seen_bytes, packet);
	add_pair(place, &ledger->flow_packets, &ledger->flow_bytes, packet);
}

/* The layouts of the index against each other, without what they do not differ in. */
#define BENCH_INDEX(name, count_in)                                                \
	SEC("xdp")                                                                 \
	int name(struct xdp_md *ctx)                                               \
	{                                                                          \
		struct packet packet;                                              \
		struct place place;                                                \
                                                                                   \
		if (!next_packet(ctx, &packet) ||                                  \
		    !find_place(ctx->ingress_ifindex, DIRECTION_INGRESS, &place))  \
			return XDP_ABORTED;                                        \
		count_ledger(&place, &packet);                                     \
		return count_in(&place, &packet) == COUNTED ? XDP_PASS : XDP_DROP; \
	}

BENCH_INDEX(bench_bucket, count_in_flow)
BENCH_INDEX(bench_linear, count_linear)
BENCH_INDEX(bench_line, count_line)

static __always_inline int count_in_hash(struct xdp_md *ctx, void *map, bool shared)
{
	struct packet packet;
	struct flow_counts *counts;
	__u32 now_ms;

	if (!next_packet(ctx, &packet))
		return XDP_ABORTED;
	now_ms = elapsed_ms(bpf_ktime_get_coarse_ns(), 0);
	counts = bpf_map_lookup_elem(map, packet.key);
	if (!counts) {
		struct flow_counts first = {.bytes = packet.bytes,
					    .packets = 1,
					    .first_ms = now_ms,
					    .facts = facts_word(&packet)};

		return bpf_map_update_elem(map, packet.key, &first, BPF_ANY) ? XDP_DROP : XDP_PASS;
	}
	if (shared) {
		add_atomic(&counts->bytes, packet.bytes);
		add_atomic(&counts->packets, 1);
	} else {
		counts->bytes += packet.bytes;
		counts->packets++;
	}
	counts->facts = (counts->facts & ~0xffffull) | (__u16)(now_ms - counts->first_ms) |
			(__u64)packet.tcp_flags << 32;
	return XDP_PASS;
}

SEC("xdp")
int bench_percpu_hash(struct xdp_md *ctx)
{
	return count_in_hash(ctx, &percpu_hash, false);
}

SEC("xdp")
int bench_shared_hash(struct xdp_md *ctx)
{
	return count_in_hash(ctx, &shared_hash, true);
}

SEC("xdp")
int bench_lru_hash(struct xdp_md *ctx)
{
	return count_in_hash(ctx, &lru_hash, true);
}
