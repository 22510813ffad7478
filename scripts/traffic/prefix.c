// SPDX-License-Identifier: Apache-2.0
//
// Addresses out of prefixes, by number.
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "traffic.h"

/* No more than this are ever wanted, and it keeps the arithmetic in 64 bits. */
#define HOST_BITS_MAX 32

bool parse_prefix(const char *text, struct prefix *prefix)
{
	char address[64];
	const char *slash = strchr(text, '/');
	size_t length = slash ? (size_t)(slash - text) : strlen(text);

	memset(prefix, 0, sizeof(*prefix));
	if (length >= sizeof(address))
		return false;
	memcpy(address, text, length);
	address[length] = 0;
	prefix->v6 = strchr(address, ':') != NULL;
	if (inet_pton(prefix->v6 ? AF_INET6 : AF_INET, address, prefix->bytes) != 1)
		return false;

	unsigned int bits = prefix->v6 ? 128 : 32;

	prefix->length = bits;
	if (slash) {
		char *end;
		unsigned long value = strtoul(slash + 1, &end, 10);

		if (end == slash + 1 || *end || value > bits)
			return false;
		prefix->length = value;
	}
	return true;
}

static unsigned int host_bits(const struct prefix *prefix)
{
	unsigned int bits = (prefix->v6 ? 128 : 32) - prefix->length;

	return bits > HOST_BITS_MAX ? HOST_BITS_MAX : bits;
}

/* Usable hosts: without the first (the network) and, in IPv4, the last (broadcast). */
uint64_t prefix_hosts(const struct prefix *prefix)
{
	unsigned int bits = host_bits(prefix);

	return bits < 2 ? 1 : (1ULL << bits) - 2;
}

/* Host number `index`, counted from the network address + 1; wraps at prefix_hosts(). */
void prefix_host(const struct prefix *prefix, uint64_t index, uint8_t *address)
{
	unsigned int size = prefix->v6 ? 16 : 4;
	uint32_t host = 0;

	if (host_bits(prefix) >= 2)
		host = 1 + index % prefix_hosts(prefix);
	memset(address, 0, 16);
	memcpy(address, prefix->bytes, size);
	for (int i = 0; i < 4; i++)
		address[size - 1 - i] |= host >> (8 * i);
}
