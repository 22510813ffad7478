/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The maps and the settings. Their geometry is in layout.h.
 *
 * User space sets both between open and load:
 *   settings   the map ".rodata.settings": write struct settings into bpf_map__initial_value(). The
 * verifier then knows the values, and what is switched off is not even translated. sizes
 * bpf_map__set_max_entries() by the formulas of layout.h. The sizes below are those of the default
 *              settings (one CPU, 1 024 flows), so that the object also loads as it is.
 *
 * The maps are weak: each program file includes this header, and the linker keeps one copy.
 */
#ifndef FLOWDAM_MAPS_H
#define FLOWDAM_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "layout.h"

#define FD_DEFAULT_FLOW_SLOTS 1024
#define FD_DEFAULT_BLOCKS 8	 /* 2 epochs * (1 CPU + the stray pair) * 2 directions */
#define FD_DEFAULT_FLOW_BLOCKS 4 /* the same without the stray pair */

extern const volatile struct settings settings SEC(".rodata.settings");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, FD_DEFAULT_FLOW_BLOCKS *FD_DEFAULT_FLOW_SLOTS);
	__type(key, __u32);
	__type(value, struct flow_record);
} flow_log SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, FD_DEFAULT_FLOW_BLOCKS *FD_DEFAULT_FLOW_SLOTS / 4);
	__type(key, __u32);
	__type(value, struct index_bucket);
} flow_index SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, FD_DEFAULT_BLOCKS *FD_OVERFLOW_SLOTS);
	__type(key, __u32);
	__type(value, struct flow_record);
} overflow_log SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, FD_DEFAULT_BLOCKS);
	__type(key, __u32);
	__type(value, struct part_state);
} part_states SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, FD_DEFAULT_BLOCKS *FD_MAX_IFACES);
	__type(key, __u32);
	__type(value, struct ledger);
} ledgers SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct control);
} control SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct drop_exact_key);
	__type(value, struct drop_rule);
} drop_exact SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct drop_v4_key);
	__type(value, struct drop_rule);
} drop_v4 SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct drop_v6_key);
	__type(value, struct drop_rule);
} drop_v6 SEC(".maps") __weak;

/* Where the head of a packet is copied whose headers do not lie in the linear part. By direction.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct packet_copy);
} packet_copies SEC(".maps") __weak;

#endif
