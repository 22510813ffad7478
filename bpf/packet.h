/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What a packet is to the programs: a view of its bytes to parse, and the parsed facts to count. */
#ifndef FLOWDAM_PACKET_H
#define FLOWDAM_PACKET_H

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "layout.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "The flow record is little-endian, and so are all machines that Flowdam supports."
#endif

/* Results of parsing: an EtherType or one of these; MALFORMED carries its enum fd_reason. */
#define PARSED_NOT_IP 0
#define MALFORMED(reason) (-(int)(reason) - 1)
#define MALFORMED_REASON(result) ((__u32)(-(result) - 1))

/*
 * Bounds for the verifier, each 2^n - 1. Layer 3 begins after at most an Ethernet header,
 * MAX_VLAN_TAGS, PPPoE and MAX_MPLS_LABELS; a layer 3 header with all its extensions is cut off at
 * 4 KiB; layer 4 is after both, twice in a tunnel.
 */
#define FD_L3_OFFSET_MASK 0x7f
#define FD_L3_HEADER_MASK 0xfff
#define FD_L4_OFFSET_MASK 0x3fff

/* The words of a flow record: the key's five, then the counters. */
#define FD_KEY_WORDS 5
#define FD_WORD_BYTES 5 /* bytes */
#define FD_WORD_FIRST 6 /* packets, first_ms */
#define FD_WORD_FACTS 7 /* duration_ms, source, tcp_flags, dscp, marks, ttl */

/* ::ffff:a.b.c.d, second word: ff ff at bytes 10 and 11, the address at 12 to 15. */
#define IPV4_MAPPED 0xffff0000ull

struct packet {
	__u64 key[FD_KEY_WORDS]; /* bytes 0-39 of its record */
	__u32 frame_bytes;	 /* from the Ethernet header on, without the checksum */
	__u32 bytes;		 /* of layer 3, as the record counts them */
	__u32 packets; /* more than 1: a GSO super packet, counted as the segments it becomes */
	__u32 header_bytes;  /* from layer 3 to the payload of layer 4: what each segment repeats */
	__u32 segment_bytes; /* payload of one segment of a GSO packet; 0: none */
	__u16 vlan;
	__u8 protocol;
	__u8 tcp_flags;
	__u8 dscp;
	__u8 marks;
	__u8 ttl;
};

/*
 * Without the old value, which would need an instruction that arm64 has only since Linux 5.18.
 * Relaxed: clang 20 and later take it for that one else.
 */
#define add_atomic(at, amount) ((void)__atomic_fetch_add(at, amount, __ATOMIC_RELAXED))

/* Bytes to parse: the packet's own (data to end), or a copy of its head in a map (copy, copied). */
struct view {
	void *data;
	void *end;
	void *copy;
	__u32 copied;
	__u32 noise; /* for forget() */
	bool super;  /* may be a super packet of more than 64 KiB, whose length fields are 0 */
};

/*
 * The size bytes from off on, or NULL where the packet ends before. The empty asm keeps the pointer
 * that is compared and the pointer that is read the same register, without which the verifier does
 * not accept the read.
 */
static __always_inline void *view_at(const struct view *view, __u32 off, __u32 size)
{
	void *at;

	if (view->copy) {
		if (off + size > view->copied)
			return NULL;
		/*
		 * Less than copied already; the mask tells the verifier, which before Linux 6.13 does
		 * not conclude it from off + size. The asm comes first, or the compiler, which does,
		 * leaves the mask out.
		 */
		asm volatile("" : "+r"(off));
		return view->copy + (off & (FD_PACKET_COPY - 1));
	}
	at = view->data + off;
	asm volatile("" : "+r"(at));
	if (at + size > view->end)
		return NULL;
	return at;
}

/*
 * The same value, of which the verifier now only knows that it is at most mask (2^n - 1). Without
 * it the verifier walks the rest of the program once for each way to come to an offset (over a
 * million instructions); with it, once. noise: a value that the verifier knows nothing about and
 * nothing compares, such as a field of the context.
 */
static __always_inline __u32 forget(__u32 value, __u64 noise, __u32 mask)
{
	asm volatile("%0 ^= %1\n\t%0 ^= %1" : "+r"(value) : "r"(noise));
	return value & mask;
}

#endif
