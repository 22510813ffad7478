// SPDX-License-Identifier: Apache-2.0
//
// Sending, in bursts and paced. A packet counts as sent only when the kernel took it and kept it:
// what it refused (ENOBUFS) is sent again, and what the device dropped afterwards shows in its
// tx_dropped.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <math.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "traffic.h"

#define BURST 64
/* Shorter bursts than this would only cost system calls. */
#define BURST_SECONDS 0.001
/* What a busy machine keeps us from sending for longer than this is not made up for: a burst of it
 * would be a rate that nobody asked for, and could cross a threshold above the one asked for. */
#define CATCH_UP_SECONDS 0.02
/* The packets in flight stay below the default queue of 1000, so that the socket waits and the
 * queue never drops. */
#define SEND_BUFFER (256 * 1024)
#define RETRY_US 50

static volatile sig_atomic_t stopped;

struct burst {
	struct mmsghdr messages[BURST];
	struct iovec parts[BURST][2];
	struct flow *flows[BURST];
	uint8_t sizes[BURST];
	unsigned int first, end;
};

void stop_sending(int signal)
{
	(void)signal;
	stopped = 1;
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static uint64_t unix_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
}

static void sleep_s(double seconds)
{
	struct timespec time = {.tv_sec = seconds, .tv_nsec = fmod(seconds, 1) * 1e9};

	nanosleep(&time, NULL);
}

/* From /proc/net/dev, which is the own namespace's, other than /sys. */
static uint64_t device_dropped(const char *interface)
{
	unsigned long long dropped = 0;
	char line[512], name[64];
	FILE *file = fopen("/proc/net/dev", "r");

	while (file && fgets(line, sizeof(line), file)) {
		unsigned long long value;

		if (sscanf(line, " %63[^:]: %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %llu", name,
			   &value) == 2 &&
		    strcmp(name, interface) == 0)
			dropped = value;
	}
	if (file)
		fclose(file);
	return dropped;
}

static int open_socket(const struct options *options)
{
	int fd = socket(AF_PACKET, SOCK_RAW, 0);
	int size = SEND_BUFFER;
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_ifindex = if_nametoindex(options->interface),
	};

	if (fd < 0)
		return -1;
	if (address.sll_ifindex == 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Each flow once, then low numbers more often: few flows carry most of the traffic. Floods are
 * even. */
static uint64_t choose_flow(const struct options *options, uint64_t packet, uint64_t random)
{
	if (packet < options->flows || options->profile != PROFILE_MIX)
		return packet % options->flows;

	double share = (random >> 11) * 0x1p-53;

	return share * share * options->flows;
}

static void fill(struct burst *burst, const struct options *options, struct flow *flows,
		 uint64_t packet, unsigned int count)
{
	static uint8_t zeros[LAYER3_MAX];

	for (unsigned int i = 0; i < count; i++) {
		uint64_t random = mix64(options->seed ^ ((packet + i) << 20));
		struct flow *flow = &flows[choose_flow(options, packet + i, random)];
		int size = random & 1;

		burst->flows[i] = flow;
		burst->sizes[i] = size;
		burst->parts[i][0].iov_base = flow->header[size];
		burst->parts[i][0].iov_len = flow->header_length;
		burst->parts[i][1].iov_base = zeros;
		burst->parts[i][1].iov_len = frame_length(flow, size) - flow->header_length;
		burst->messages[i].msg_hdr.msg_iov = burst->parts[i];
		burst->messages[i].msg_hdr.msg_iovlen = 2;
	}
	burst->first = 0;
	burst->end = count;
}

/* Sends what is left of the burst. Returns an errno when nothing more can be sent. */
static int flush(int fd, struct burst *burst, struct result *result)
{
	while (burst->first < burst->end) {
		int sent =
			sendmmsg(fd, burst->messages + burst->first, burst->end - burst->first, 0);

		if (sent < 0) {
			if (errno == EINTR)
				continue;
			if (errno != ENOBUFS && errno != EAGAIN)
				return errno;
			result->retries++;
			usleep(RETRY_US);
			continue;
		}
		for (int i = 0; i < sent; i++) {
			burst->flows[burst->first]->packets[burst->sizes[burst->first]]++;
			burst->first++;
		}
		result->packets += sent;
	}
	return 0;
}

/* Packets due by now; the integral of the rate, so that a wave has the right mean. */
static double packets_due(const struct options *options, double elapsed)
{
	double due = options->rate * elapsed;

	if (options->wave_s > 0) {
		double turn = 2 * M_PI / options->wave_s;

		due += options->rate * 0.5 * (1 - cos(turn * elapsed)) / turn;
	}
	return due;
}

/* Until every packet has left the queue for the device: only then are the drops known. */
static void drain(int fd)
{
	int pending = 1;

	for (int i = 0; i < 5000 && pending > 0; i++) {
		if (ioctl(fd, SIOCOUTQ, &pending) < 0)
			return;
		usleep(1000);
	}
}

int send_traffic(const struct options *options, struct flow *flows, struct result *result)
{
	static struct burst burst;
	uint64_t dropped_before = device_dropped(options->interface);
	double pause = options->rate > 0 ? fmax(BURST_SECONDS, 1 / options->rate) : 0;
	int fd = open_socket(options);
	int error = fd < 0 ? errno : 0;
	double started = now_s();
	double forgone = 0;

	result->started_unix_ms = unix_ms();
	while (!stopped && !error) {
		double elapsed = now_s() - started;
		uint64_t wanted = BURST;

		if (options->duration_s > 0 && elapsed >= options->duration_s)
			break;
		if (options->rate > 0) {
			double due = packets_due(options, elapsed - forgone) - result->packets;
			double late = due / options->rate - fmax(CATCH_UP_SECONDS, 2 * pause);

			if (late > 0) {
				forgone += late;
				due -= late * options->rate;
			}
			if (due < 1) {
				sleep_s(pause);
				continue;
			}
			wanted = due;
		}
		if (options->count > 0 && wanted > options->count - result->packets)
			wanted = options->count - result->packets;
		if (wanted == 0)
			break;
		fill(&burst, options, flows, result->packets, wanted < BURST ? wanted : BURST);
		error = flush(fd, &burst, result);
	}
	result->elapsed_s = now_s() - started;
	result->ended_unix_ms = unix_ms();
	if (fd >= 0) {
		drain(fd);
		close(fd);
	}
	result->device_dropped = device_dropped(options->interface) - dropped_before;
	return error;
}
