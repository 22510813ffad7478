// SPDX-License-Identifier: Apache-2.0
//
// What was sent: one JSON document, and a line for each flow.
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "traffic.h"

struct sum {
	uint64_t packets, bytes, flows;
};

static uint64_t flow_packets(const struct flow *flow)
{
	return (uint64_t)flow->packets[0] + flow->packets[1];
}

static uint64_t flow_bytes(const struct flow *flow)
{
	return (uint64_t)flow->packets[0] * flow->layer3[0] +
	       (uint64_t)flow->packets[1] * flow->layer3[1];
}

int write_per_flow(const char *name, const struct flow *flows, uint64_t count)
{
	FILE *file = fopen(name, "w");

	if (!file)
		return errno;
	fprintf(file,
		"source\tdestination\tsource_port\tdestination_port\tprotocol\tvlan\tpackets\t"
		"bytes\ttcp_flags\tdscp\tttl\n");
	for (uint64_t i = 0; i < count; i++) {
		const struct flow *flow = &flows[i];
		char source[INET6_ADDRSTRLEN], dest[INET6_ADDRSTRLEN];

		if (flow_packets(flow) == 0)
			continue;
		inet_ntop(flow->v6 ? AF_INET6 : AF_INET, flow->source, source, sizeof(source));
		inet_ntop(flow->v6 ? AF_INET6 : AF_INET, flow->dest, dest, sizeof(dest));
		fprintf(file, "%s\t%s\t%u\t%u\t%u\t%u\t%" PRIu64 "\t%" PRIu64 "\t%u\t%u\t%u\n",
			source, dest, flow->source_port, flow->dest_port, flow->protocol,
			flow->vlan, flow_packets(flow), flow_bytes(flow), flow->tcp_flags,
			flow->dscp, flow->ttl);
	}
	return fclose(file) ? errno : 0;
}

static void add(struct sum *sum, const struct flow *flow)
{
	sum->packets += flow_packets(flow);
	sum->bytes += flow_bytes(flow);
	sum->flows += flow_packets(flow) > 0;
}

static void print_sum(const char *name, const struct sum *sum)
{
	printf(",\"%s\":{\"packets\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"flows\":%" PRIu64 "}",
	       name, sum->packets, sum->bytes, sum->flows);
}

void print_result(const struct options *options, const struct flow *flows,
		  const struct result *result)
{
	struct sum all = {0}, v4 = {0}, v6 = {0}, tcp = {0}, udp = {0}, icmp = {0};

	for (uint64_t i = 0; i < options->flows; i++) {
		const struct flow *flow = &flows[i];

		add(&all, flow);
		add(flow->v6 ? &v6 : &v4, flow);
		add(flow->protocol == IPPROTO_TCP   ? &tcp
		    : flow->protocol == IPPROTO_UDP ? &udp
						    : &icmp,
		    flow);
	}
	printf("{\"interface\":\"%s\",\"profile\":\"%s\",\"packets\":%" PRIu64 ",\"bytes\":%" PRIu64
	       ",\"flows\":%" PRIu64,
	       options->interface, profile_names[options->profile], all.packets, all.bytes,
	       all.flows);
	print_sum("ipv4", &v4);
	print_sum("ipv6", &v6);
	print_sum("tcp", &tcp);
	print_sum("udp", &udp);
	print_sum("icmp", &icmp);
	printf(",\"retries\":%" PRIu64 ",\"device_dropped\":%" PRIu64
	       ",\"started_unix_ms\":%" PRIu64 ",\"ended_unix_ms\":%" PRIu64
	       ",\"elapsed_s\":%.6f,\"pps\":%.0f}\n",
	       result->retries, result->device_dropped, result->started_unix_ms,
	       result->ended_unix_ms, result->elapsed_s,
	       result->elapsed_s > 0 ? result->packets / result->elapsed_s : 0);
}
