/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the kernel programs and user space share: the flow record, the maps' geometry and the
 * control words. TypeScript's copy is agent/src/kernel/layout.ts; test/bpf/layout.test.ts compares
 * it with the object's BTF.
 *
 * A "part" belongs to one writer: part = cpu * 2 + direction (0 ingress by XDP, 1 egress by TC).
 * XDP does not nest on one CPU and TC does not nest with itself there, so a part's counters need no
 * atomics. One pair of parts more, the last, is for CPUs that came online after the load ("stray"):
 * only ledger and overflow, with atomics.
 *
 *   nr_parts = (nr_cpus + 1) * 2        block(parity, part) = parity * nr_parts + part
 *
 *   map           type            key                                  value
 *   flow_log      ARRAY mmapable  block * flow_slots + slot            struct flow_record
 *   flow_index    ARRAY mmapable  block * index_buckets + bucket       struct index_bucket, 0 is empty
 *   overflow_log  ARRAY mmapable  block * FD_OVERFLOW_SLOTS + slot     struct flow_record
 *   part_states   ARRAY mmapable  block                                struct part_state
 *   ledgers       ARRAY mmapable  block * FD_MAX_IFACES + iface        struct ledger
 *   control       ARRAY mmapable  0                                    struct control
 *   drop_exact    HASH            struct drop_exact_key                struct drop_rule
 *   drop_v4/v6    LPM_TRIE        struct drop_v4_key, drop_v6_key      struct drop_rule
 *
 * The stray pair has no flows: in flow_log and flow_index block counts nr_cpus * 2 parts. A slot is written whole
 * when it is taken: user space never clears flow_log.
 *
 * A drop rule names an address of ours: ingress compares the destination, egress the source.
 */
#ifndef FLOWDAM_LAYOUT_H
#define FLOWDAM_LAYOUT_H

#include <linux/types.h>

/* Raised at each change of this file that an old agent or program would misread. */
#define FD_LAYOUT_VERSION 1

#define FD_RECORD_SIZE 64
#define FD_KEY_SIZE 40
/* iface is seven bits of the record; the eighth is the direction. */
#define FD_MAX_IFACES 128
#define FD_IFACE_EGRESS 0x80
/* Destinations (or sources, on egress) counted one by one per part when the flow log is full. Power
 * of two. */
#define FD_OVERFLOW_SLOTS 4096
/* The last FD_MAX_IFACES slots of overflow_log: one "other" per interface, for what finds no place
 * at all. */
#define FD_OVERFLOW_OTHER (FD_OVERFLOW_SLOTS - FD_MAX_IFACES)
/* Size of the ifindex table in struct control; power of two, open addressing, probed at most
 * FD_IFACE_PROBES. */
#define FD_IFACE_BUCKETS 512
#define FD_IFACE_PROBES 8

enum fd_mark {
	FD_MARK_FRAGMENT = 1,
	FD_MARK_DROPPED = 2,
	FD_MARK_TUNNELLED = 4,
	FD_MARK_SAMPLED = 8,
	FD_MARK_OVERFLOW = 16,
};

/* An interface that is not in control.ifaces is counted under this number. */
#define FD_IFACE_UNKNOWN 127

/* Section 2 of docs/architecture.md states each field; the same bytes go to the database. */
struct flow_record {
	__u8 src_addr[16];
	__u8 dst_addr[16];
	__u16 src_port;
	__u16 dst_port;
	__u8 protocol;
	__u8 iface;
	__u16 vlan;
	__u64 bytes;
	__u32 packets;
	__u32 first_ms;
	__u16 duration_ms;
	__u16 source;
	__u8 tcp_flags;
	__u8 dscp;
	__u8 marks;
	__u8 ttl;
};

/*
 * seen = flow + overflow + not_ip + malformed, in packets and bytes, for each interface, direction
 * and epoch. Bytes are layer 3's; what has no layer 3 (not_ip, malformed) counts all that follows
 * the Ethernet header.
 */
struct ledger {
	__u64 seen_packets;
	__u64 seen_bytes;
	__u64 flow_packets;
	__u64 flow_bytes;
	__u64 overflow_packets;
	__u64 overflow_bytes;
	__u64 not_ip_packets;
	__u64 not_ip_bytes;
	__u64 malformed_packets;
	__u64 malformed_bytes;
	__u64 dropped_packets; /* of the above, dropped by a rule */
	__u64 dropped_bytes;
	__u64 unused[4];
};

/* Why a packet was malformed or went to overflow. One list: metrics and docs use the same names. */
enum fd_reason {
	FD_REASON_ETHERNET_SHORT,
	FD_REASON_VLAN_SHORT,
	FD_REASON_VLAN_DEEP,
	FD_REASON_PPPOE_SHORT,
	FD_REASON_MPLS_SHORT,
	FD_REASON_MPLS_DEEP,
	FD_REASON_IPV4_SHORT,
	FD_REASON_IPV4_HEADER,
	FD_REASON_IPV6_SHORT,
	FD_REASON_IPV6_HEADER,
	FD_REASON_IPV6_EXT_SHORT,
	FD_REASON_IPV6_EXT_DEEP,
	FD_REASON_L4_SHORT,
	FD_REASON_L4_HEADER,
	FD_REASON_TUNNEL,
	FD_REASON_LOG_FULL,	 /* overflow: no free slot in flow_log */
	FD_REASON_INDEX_FULL,	 /* overflow: no free bucket within the probe window */
	FD_REASON_OVERFLOW_FULL, /* overflow: counted in "other" */
	FD_REASON_STRAY_CPU,	 /* overflow: a CPU without a part of its own */
	FD_REASON_COUNT = 24,
};

/* A line of the flow log's index. Concerns only the programs (flow.h says how it is used); user
 * space clears it. */
struct index_bucket {
	__u8 tags[8];	/* of the flow's hash; 0: empty */
	__u32 slots[8]; /* in flow_log, within the block */
	__u64 unused[3];
};

struct part_state {
	__u32 flows_used;		/* slots of flow_log in use, from 0 */
	__u32 overflow_used;		/* slots of overflow_log in use, anywhere */
	__u64 reasons[FD_REASON_COUNT]; /* packets by enum fd_reason */
	__u64 unused[7];
};

/* Value of drop_exact, drop_v4 and drop_v6. */
struct drop_rule {
	__u64 expires_ns; /* CLOCK_MONOTONIC; from then on nothing is dropped, even if the agent is
			     dead; 0: never */
	__u64 packets;	  /* dropped by this rule, by all CPUs */
	__u64 bytes;
};

/* An address as in flow_record. */
struct drop_exact_key {
	__u8 addr[16];
};

struct drop_v4_key {
	__u32 prefix_length;
	__u8 addr[4];
};

struct drop_v6_key {
	__u32 prefix_length;
	__u8 addr[16];
};

enum fd_iface_flag {
	FD_IFACE_DROP = 1, /* tap mode: XDP_DROP after counting */
	FD_IFACE_L3 = 2,   /* frames start with the IP header (tun, WireGuard, PPP) */
};

struct iface_entry {
	__u32 ifindex; /* 0: empty */
	__u8 iface;    /* 0-127 */
	__u8 flags;    /* enum fd_iface_flag */
	__u16 unused;
};

/* The head of a packet whose headers do not lie in one piece. Concerns only the programs. */
#define FD_PACKET_COPY 256
struct packet_copy {
	__u8 bytes[FD_PACKET_COPY];
	__u8 margin[64]; /* a header read from the last byte on stays inside the map: for the
			    verifier */
};

/* Written by user space, read by the programs. */
struct control {
	__u32 parity; /* the epoch being written: 0 or 1 */
	__u32 unused;
	__u64 epoch_start_ns[2]; /* CLOCK_MONOTONIC, by parity; first_ms counts from here */
	__u64 reserved[5];
	struct iface_entry ifaces[FD_IFACE_BUCKETS]; /* bucket = ifindex & (FD_IFACE_BUCKETS - 1),
							then the next ones */
};

/* Fixed at load: the object's .rodata.settings. */
struct settings {
	__u32 hash_keys[10];  /* random: nobody outside can aim for collisions */
	__u32 layout_version; /* FD_LAYOUT_VERSION of the build; user space checks it */
	__u32 nr_cpus;	      /* CPUs with parts: ids 0 .. nr_cpus - 1 */
	__u32 flow_slots;     /* per part and epoch */
	__u32 index_buckets;  /* per part and epoch; power of two, at least flow_slots / 4 */
	__u32 drop_rules;     /* 1: look up drop rules */
	__u32 inner_key;      /* 1: key of the tunnelled packet instead of the outer one */
};

_Static_assert(sizeof(struct flow_record) == FD_RECORD_SIZE, "flow_record is one cache line");
_Static_assert(__builtin_offsetof(struct flow_record, bytes) == FD_KEY_SIZE,
	       "the key is bytes 0-39");
_Static_assert(__builtin_offsetof(struct flow_record, ttl) == 63, "flow_record has no holes");
_Static_assert(sizeof(struct ledger) == 128, "ledger is two cache lines");
_Static_assert(sizeof(struct part_state) == 256, "part_state is four cache lines");
_Static_assert(sizeof(struct index_bucket) == 64, "index_bucket is one cache line");
_Static_assert(sizeof(struct settings) == 64, "settings is one cache line");
_Static_assert(sizeof(struct iface_entry) == 8, "iface_entry is 8 bytes");

#endif
