/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowdam-traffic: sends known traffic into an interface and says exactly what it sent.
 *
 *   options.c  what was asked for       prefix.c  addresses out of prefixes
 *   flows.c    which flows there are    frame.c   their headers and checksums
 *   sender.c   sending, paced           report.c  what was sent
 */
#ifndef FLOWDAM_TRAFFIC_H
#define FLOWDAM_TRAFFIC_H

#include <stdbool.h>
#include <stdint.h>

/* Ethernet 14, VLAN 4, IPv6 40, TCP 20: the longest header is 78 bytes. */
#define HEADER_MAX 80
/* A short and a long packet for each flow of the ordinary mix; floods have one size. */
#define SIZES 2
/* Smallest Ethernet frame without its checksum; shorter ones are padded as a real NIC does. */
#define FRAME_MIN 60
#define LAYER3_MAX 9000

enum profile {
	PROFILE_MIX,
	PROFILE_UDP_FLOOD,
	PROFILE_SYN_FLOOD,
	PROFILE_ACK_FLOOD,
	PROFILE_ICMP_FLOOD,
	PROFILE_AMPLIFICATION,
	PROFILE_FRAGMENT_FLOOD,
	PROFILE_SPOOFED_FLOOD,
	PROFILE_PORT_SCAN,
	PROFILE_COUNT,
};

extern const char *const profile_names[PROFILE_COUNT];

struct prefix {
	uint8_t bytes[16]; /* IPv4 in the first four */
	unsigned int length;
	bool v6;
};

struct options {
	const char *interface;
	uint8_t source_mac[6];
	bool has_source_mac;
	uint8_t dest_mac[6];
	bool has_dest_mac;
	const char *gateway;
	enum profile profile;
	bool outgoing;
	struct prefix local4, local6;	/* the protected side */
	struct prefix remote4, remote6; /* the rest of the world */
	struct prefix spoofed4, spoofed6;
	struct prefix victim; /* of a flood: an address, or all of a prefix */
	bool has_victim;
	unsigned int reflector_port;
	unsigned int ipv6_percent;
	unsigned int vlan;
	unsigned int vlan_percent;
	uint64_t flows;
	bool has_flows;
	uint64_t count;	   /* packets, 0: no limit */
	double duration_s; /* 0: no limit */
	double rate;	   /* packets per second, 0: as fast as it goes */
	double wave_s;	   /* period in which the rate swings by half, 0: steady */
	unsigned int size; /* layer-3 bytes, 0: the profile's own */
	uint64_t seed;
	const char *per_flow;
};

struct flow {
	uint8_t source[16]; /* IPv4 in the first four */
	uint8_t dest[16];
	uint16_t source_port; /* for ICMP the type */
	uint16_t dest_port;   /* for ICMP the code */
	uint16_t vlan;	      /* 0: untagged */
	uint8_t protocol;
	uint8_t tcp_flags;
	uint8_t dscp;
	uint8_t ttl;
	bool v6;
	bool later_fragment; /* offset above 0: no ports on the wire */
	uint8_t header_length;
	uint16_t layer3[SIZES]; /* bytes from the IP header on, without padding */
	uint32_t packets[SIZES];
	uint8_t header[SIZES][HEADER_MAX];
};

struct result {
	uint64_t packets;
	uint64_t retries;
	uint64_t device_dropped;
	uint64_t started_unix_ms;
	uint64_t ended_unix_ms;
	double elapsed_s;
};

/* options.c: exits with status 2 and a message when something is wrong. */
void read_options(int argc, char **argv, struct options *options);

/* prefix.c */
bool parse_prefix(const char *text, struct prefix *prefix);
uint64_t prefix_hosts(const struct prefix *prefix);
void prefix_host(const struct prefix *prefix, uint64_t index, uint8_t *address);

/* frame.c: fills header, header_length from the other members. */
void build_headers(struct flow *flow, const struct options *options);
/* Bytes of the frame of this size, with header and padding. */
unsigned int frame_length(const struct flow *flow, int size);

/* flows.c */
struct flow *make_flows(const struct options *options);
uint64_t mix64(uint64_t value);

/* sender.c: returns 0, or an errno that ended it early. */
int send_traffic(const struct options *options, struct flow *flows, struct result *result);
void stop_sending(int signal);

/* report.c */
int write_per_flow(const char *file, const struct flow *flows, uint64_t count);
void print_result(const struct options *options, const struct flow *flows,
		  const struct result *result);

#endif
