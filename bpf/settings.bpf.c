// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The settings, until user space writes others. In a file of its own: a linker that copies whole
 * sections would keep one for each file that defines it.
 */
#include "maps.h"

const volatile struct settings settings SEC(".rodata.settings") = {
	.hash_keys = {0x9e3779b9, 0x7f4a7c15, 0xf39cc060, 0x5cedc834, 0x1082276b, 0xf3a27251,
		      0xf86c6a11, 0xd0c18e95, 0x2767f0b1, 0x53d27b77},
	.layout_version = FD_LAYOUT_VERSION,
	.nr_cpus = 1,
	.flow_slots = FD_DEFAULT_FLOW_SLOTS,
	.index_buckets = FD_DEFAULT_FLOW_SLOTS / 4,
	.drop_rules = 0,
	.inner_key = 0,
};

char _license[] SEC("license") = "Dual BSD/GPL";
