/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Which part of the maps this packet is counted in. The parity is read once per packet: user space
 * flips it, waits until no program that has read the old one still runs, and then owns the old
 * epoch.
 */
#ifndef FLOWDAM_EPOCH_H
#define FLOWDAM_EPOCH_H

#include "maps.h"
#include "packet.h"

#define DIRECTION_INGRESS 0
#define DIRECTION_EGRESS 1

struct place {
	__u32 block;	  /* in overflow_log, part_states and ledgers */
	__u32 flow_block; /* in flow_log and flow_index; not for a stray CPU */
	__u32 direction;
	__u32 iface; /* 0-127 */
	__u32 iface_flags;
	bool stray;
	__u64 now_ns;
	__u32 now_ms; /* since the epoch's start */
	__u64 noise;  /* for forget(): all 64 bits */
};

/*
 * Milliseconds from start to now; 0 when the coarse clock, which lags by up to a tick, is still
 * before the start. x / 10^6 = (x / 64) * (2^40 / 15625) / 2^40: a multiplication instead of a
 * division, too long by 1e-8, and good for 4 hours. An epoch lasts a minute; only one that goes on
 * because no agent is there (keep_attached) can reach the end, and stays there.
 */
#define LONGEST_EPOCH_NS (4ull * 3600 * 1000000000)

static __always_inline __u32 elapsed_ms(__u64 now_ns, __u64 start_ns)
{
	__u64 elapsed_ns = now_ns - start_ns;

	if (now_ns <= start_ns)
		return 0;
	if (elapsed_ns > LONGEST_EPOCH_NS)
		elapsed_ns = LONGEST_EPOCH_NS;
	return (elapsed_ns >> 6) * 70368745 >> 40;
}

static __always_inline void find_interface(const struct control *control, __u32 ifindex,
					   struct place *place)
{
	place->iface = FD_IFACE_UNKNOWN;
	place->iface_flags = 0;
#pragma unroll
	for (__u32 i = 0; i < FD_IFACE_PROBES; i++) {
		const struct iface_entry *entry =
			&control->ifaces[(ifindex + i) & (FD_IFACE_BUCKETS - 1)];

		if (entry->ifindex == ifindex) {
			place->iface = entry->iface & (FD_MAX_IFACES - 1);
			place->iface_flags = entry->flags;
			return;
		}
		if (!entry->ifindex)
			return;
	}
}

/* The key is copied to the stack: in a global function place is plain memory, of which kernels before
 * 6.2 take no key. */
static __always_inline struct part_state *find_part_state(const struct place *place)
{
	__u32 key = place->block;

	return bpf_map_lookup_elem(&part_states, &key);
}

static __always_inline bool find_place(__u32 ifindex, __u32 direction, struct place *place)
{
	__u32 zero = 0, parity, part, cpu = bpf_get_smp_processor_id();
	struct control *words = bpf_map_lookup_elem(&control, &zero);

	if (!words)
		return false;
	parity = *(volatile __u32 *)&words->parity & 1;
	find_interface(words, ifindex, place);

	place->noise = *(volatile __u64 *)&words->epoch_start_ns[0];
	place->direction = direction;
	place->stray = cpu >= settings.nr_cpus;
	part = (place->stray ? settings.nr_cpus : cpu) * 2 + direction;
	place->block = parity * (settings.nr_cpus + 1) * 2 + part;
	place->flow_block = parity * settings.nr_cpus * 2 + part;
	place->now_ns = bpf_ktime_get_coarse_ns();
	place->now_ms = elapsed_ms(place->now_ns, words->epoch_start_ns[parity]);
	return true;
}

#endif
