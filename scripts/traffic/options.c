// SPDX-License-Identifier: Apache-2.0
//
// The command line, and what follows from the interface: its own address, the gateway's.
#include <errno.h>
#include <getopt.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "traffic.h"

const char *const profile_names[PROFILE_COUNT] = {
	"mix",		 "udp-flood",	   "syn-flood",	    "ack-flood", "icmp-flood",
	"amplification", "fragment-flood", "spoofed-flood", "port-scan",
};

static const struct {
	const char *name;
	unsigned int port;
} reflectors[] = {
	{"dns", 53},	      {"ntp", 123},    {"ssdp", 1900}, {"cldap", 389},
	{"memcached", 11211}, {"chargen", 19}, {"snmp", 161},
};

static const char help[] =
	"flowdam-traffic --interface NAME --dest-mac MAC [options]\n"
	"\n"
	"Sends known traffic into an interface and prints, as one JSON document, exactly what was "
	"sent. The interface\n"
	"needs a real queue (`tc qdisc replace dev NAME root pfifo`), so that the kernel waits "
	"where a veth's 256-packet\n"
	"ring is full; without one it drops, which is reported as device_dropped, with exit status "
	"3.\n"
	"Only for test networks of your own.\n"
	"\n"
	"What\n"
	"  --profile NAME        mix (default): TCP, UDP and ICMP of many hosts, sizes 40-1500; or "
	"a flood of one address:\n"
	"                        udp-flood, syn-flood, ack-flood, icmp-flood, amplification, "
	"fragment-flood, spoofed-flood, port-scan\n"
	"  --flows N             different flows (mix: 1000, floods: 100, spoofed sources: "
	"100000)\n"
	"  --victim PREFIX       of a flood: an address, or all of a prefix (the tenth of the "
	"local "
	"prefix)\n"
	"  --reflector NAME      of amplification: dns (default), ntp, ssdp, cldap, memcached, "
	"chargen, snmp\n"
	"  --direction in|out    towards the local prefixes (default) or from them\n"
	"  --local PREFIX        protected addresses, give it once for each family "
	"(203.0.113.0/24, 2001:db8:1::/48)\n"
	"  --remote PREFIX       the others (198.51.100.0/24, 2001:db8:ffff::/48)\n"
	"  --spoofed PREFIX      invented sources (100.64.0.0/10, 2001:db8:fffe::/48)\n"
	"  --ipv6 PERCENT        of the mix (30)\n"
	"  --vlan ID[:PERCENT]   802.1Q tag on that share of the flows (default share 100)\n"
	"  --size BYTES          layer-3 bytes of each packet (default: as the profile has it)\n"
	"  --seed N              the same seed gives the same flows (1)\n"
	"How much\n"
	"  --count N             packets in all\n"
	"  --duration SECONDS    time in all; with neither, until SIGINT or SIGTERM\n"
	"  --rate N              packets per second (default: as fast as it goes); less where "
	"the machine is too busy, never\n"
	"                        more to make up for it\n"
	"  --wave SECONDS        lets the rate swing by half with this period\n"
	"Where\n"
	"  --interface NAME      to send from\n"
	"  --dest-mac MAC        of the next hop\n"
	"  --gateway ADDRESS     IPv4 next hop instead, looked up in the neighbour table\n"
	"  --source-mac MAC      default: the interface's own\n"
	"Report\n"
	"  --per-flow FILE       one line a flow: source, destination, source port, destination "
	"port, protocol, vlan,\n"
	"                        packets, layer-3 bytes, TCP flags, DSCP, TTL; tab-separated, with "
	"a heading\n"
	"  --help                this text\n"
	"\n"
	"Exit status: 0 all sent, 1 sending failed, 2 wrong options, 3 the device dropped some.\n";

static void fail(const char *what, const char *value)
{
	fprintf(stderr, "flowdam-traffic: %s: %s (see --help)\n", what, value);
	exit(2);
}

static double number(const char *name, const char *text, double least, double greatest)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= least && value <= greatest))
		fail(name, text);
	return value;
}

static void read_mac(const char *text, uint8_t *mac)
{
	char rest;

	if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx%c", &mac[0], &mac[1], &mac[2], &mac[3],
		   &mac[4], &mac[5], &rest) != 6)
		fail("not a MAC address", text);
}

static void read_prefix(const char *text, struct prefix *v4, struct prefix *v6)
{
	struct prefix prefix;

	if (!parse_prefix(text, &prefix))
		fail("not a prefix", text);
	*(prefix.v6 ? v6 : v4) = prefix;
}

static unsigned int read_profile(const char *text)
{
	for (unsigned int i = 0; i < PROFILE_COUNT; i++) {
		if (strcmp(text, profile_names[i]) == 0)
			return i;
	}
	fail("no such profile", text);
	return 0;
}

static unsigned int read_reflector(const char *text)
{
	for (unsigned int i = 0; i < sizeof(reflectors) / sizeof(reflectors[0]); i++) {
		if (strcmp(text, reflectors[i].name) == 0)
			return reflectors[i].port;
	}
	fail("no such reflector", text);
	return 0;
}

static void read_vlan(const char *text, struct options *options)
{
	const char *colon = strchr(text, ':');

	options->vlan = strtoul(text, NULL, 10);
	options->vlan_percent = colon ? number("--vlan", colon + 1, 0, 100) : 100;
	if (options->vlan < 1 || options->vlan > 4094)
		fail("--vlan", text);
}

static void own_mac(struct options *options)
{
	struct ifreq request = {0};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	strncpy(request.ifr_name, options->interface, IFNAMSIZ - 1);
	if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request) < 0)
		fail(options->interface, strerror(errno));
	memcpy(options->source_mac, request.ifr_hwaddr.sa_data, 6);
	close(fd);
}

/* The kernel's table only: the gateway must have been spoken to, or be a permanent neighbour. */
static void gateway_mac(struct options *options)
{
	char line[256], address[64], mac[32];
	FILE *file = fopen("/proc/net/arp", "r");

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%63s %*s %*s %31s", address, mac) == 2 &&
		    strcmp(address, options->gateway) == 0) {
			read_mac(mac, options->dest_mac);
			fclose(file);
			return;
		}
	}
	fail("not in the neighbour table (ping it once)", options->gateway);
}

static void defaults(struct options *options)
{
	memset(options, 0, sizeof(*options));
	parse_prefix("203.0.113.0/24", &options->local4);
	parse_prefix("2001:db8:1::/48", &options->local6);
	parse_prefix("198.51.100.0/24", &options->remote4);
	parse_prefix("2001:db8:ffff::/48", &options->remote6);
	/* Shared address space (RFC 6598): no host of the internet has it. */
	parse_prefix("100.64.0.0/10", &options->spoofed4);
	parse_prefix("2001:db8:fffe::/48", &options->spoofed6);
	options->reflector_port = 53;
	options->ipv6_percent = 30;
	options->seed = 1;
}

static bool spoofed(enum profile profile)
{
	return profile == PROFILE_SPOOFED_FLOOD || profile == PROFILE_ICMP_FLOOD ||
	       profile == PROFILE_FRAGMENT_FLOOD;
}

static void complete(struct options *options)
{
	uint64_t hosts;

	if (!options->interface)
		fail("missing", "--interface");
	if (!options->has_source_mac)
		own_mac(options);
	if (options->gateway)
		gateway_mac(options);
	else if (!options->has_dest_mac)
		fail("missing", "--dest-mac or --gateway");
	if (!options->has_victim) {
		options->victim = options->local4;
		prefix_host(&options->local4, 9, options->victim.bytes);
		options->victim.length = 32;
	}
	if (!options->has_flows)
		options->flows = options->profile == PROFILE_MIX ? 1000
				 : spoofed(options->profile)	 ? 100000
								 : 100;
	hosts = prefix_hosts(options->victim.v6 ? &options->spoofed6 : &options->spoofed4);
	if (spoofed(options->profile) && options->flows > hosts)
		fail("--flows", "more than --spoofed has addresses");
}

void read_options(int argc, char **argv, struct options *options)
{
	static const struct option names[] = {
		{"interface", 1, 0, 'i'},
		{"source-mac", 1, 0, 's'},
		{"dest-mac", 1, 0, 'd'},
		{"gateway", 1, 0, 'g'},
		{"profile", 1, 0, 'p'},
		{"flows", 1, 0, 'f'},
		{"victim", 1, 0, 'v'},
		{"reflector", 1, 0, 'R'},
		{"direction", 1, 0, 'D'},
		{"local", 1, 0, 'l'},
		{"remote", 1, 0, 'r'},
		{"spoofed", 1, 0, 'S'},
		{"ipv6", 1, 0, '6'},
		{"vlan", 1, 0, 'V'},
		{"size", 1, 0, 'z'},
		{"seed", 1, 0, 'e'},
		{"count", 1, 0, 'c'},
		{"duration", 1, 0, 't'},
		{"rate", 1, 0, 'P'},
		{"wave", 1, 0, 'w'},
		{"per-flow", 1, 0, 'o'},
		{"help", 0, 0, 'h'},
		{0, 0, 0, 0},
	};
	int option;

	defaults(options);
	while ((option = getopt_long(argc, argv, "h", names, NULL)) != -1) {
		switch (option) {
		case 'i':
			options->interface = optarg;
			break;
		case 's':
			read_mac(optarg, options->source_mac);
			options->has_source_mac = true;
			break;
		case 'd':
			read_mac(optarg, options->dest_mac);
			options->has_dest_mac = true;
			break;
		case 'g':
			options->gateway = optarg;
			break;
		case 'p':
			options->profile = read_profile(optarg);
			break;
		case 'f':
			options->flows = number("--flows", optarg, 1, 16e6);
			options->has_flows = true;
			break;
		case 'v':
			if (!parse_prefix(optarg, &options->victim))
				fail("not a prefix", optarg);
			options->has_victim = true;
			break;
		case 'R':
			options->reflector_port = read_reflector(optarg);
			break;
		case 'D':
			if (strcmp(optarg, "in") && strcmp(optarg, "out"))
				fail("--direction", optarg);
			options->outgoing = optarg[0] == 'o';
			break;
		case 'l':
			read_prefix(optarg, &options->local4, &options->local6);
			break;
		case 'r':
			read_prefix(optarg, &options->remote4, &options->remote6);
			break;
		case 'S':
			read_prefix(optarg, &options->spoofed4, &options->spoofed6);
			break;
		case '6':
			options->ipv6_percent = number("--ipv6", optarg, 0, 100);
			break;
		case 'V':
			read_vlan(optarg, options);
			break;
		case 'z':
			options->size = number("--size", optarg, 28, LAYER3_MAX);
			break;
		case 'e':
			options->seed = number("--seed", optarg, 0, 1e15);
			break;
		case 'c':
			options->count = number("--count", optarg, 1, 1e15);
			break;
		case 't':
			options->duration_s = number("--duration", optarg, 0.001, 1e9);
			break;
		case 'P':
			options->rate = number("--rate", optarg, 0, 1e9);
			break;
		case 'w':
			options->wave_s = number("--wave", optarg, 0.1, 1e9);
			break;
		case 'o':
			options->per_flow = optarg;
			break;
		case 'h':
			fputs(help, stdout);
			exit(0);
		default:
			exit(2);
		}
	}
	if (optind < argc)
		fail("unexpected", argv[optind]);
	complete(options);
}
