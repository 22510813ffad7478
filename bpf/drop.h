/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Drop rules: an address of ours, exactly or by prefix. Each rule carries its own end, so that a
 * dead agent cannot leave a drop for ever.
 */
#ifndef FLOWDAM_DROP_H
#define FLOWDAM_DROP_H

#include <linux/if_ether.h>

#include "epoch.h"
#include "maps.h"

/* True when the rule is in force; then it has counted the packet. Rules are shared by all CPUs:
 * atomics. */
static __always_inline bool apply_rule(struct drop_rule *rule, const struct place *place,
				       const struct packet *packet)
{
	if (!rule || (rule->expires_ns && place->now_ns >= rule->expires_ns))
		return false;
	add_atomic(&rule->packets, packet->packets);
	add_atomic(&rule->bytes, packet->bytes);
	return true;
}

static __always_inline bool is_dropped(const struct place *place, const struct packet *packet)
{
	const __u64 *address = &packet->key[place->direction == DIRECTION_INGRESS ? 2 : 0];
	__u64 exact[2] = {address[0], address[1]};

	if (apply_rule(bpf_map_lookup_elem(&drop_exact, exact), place, packet))
		return true;
	/* By the address's own family: a tunnel's inner packet may be of the other one. */
	if (!exact[0] && (__u32)exact[1] == IPV4_MAPPED) {
		__u32 key[2] = {32, exact[1] >> 32};

		return apply_rule(bpf_map_lookup_elem(&drop_v4, key), place, packet);
	} else {
		struct {
			__u32 prefix_length;
			__u32 address[4];
		} key = {128, {exact[0], exact[0] >> 32, exact[1], exact[1] >> 32}};

		return apply_rule(bpf_map_lookup_elem(&drop_v6, &key), place, packet);
	}
}

#endif
