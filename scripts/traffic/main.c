// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traffic.h"

int main(int argc, char **argv)
{
	static struct options options;
	struct result result = {0};
	struct flow *flows;
	int error;

	read_options(argc, argv, &options);
	flows = make_flows(&options);
	signal(SIGINT, stop_sending);
	signal(SIGTERM, stop_sending);
	error = send_traffic(&options, flows, &result);
	if (error)
		fprintf(stderr, "flowdam-traffic: sending on %s: %s\n", options.interface,
			strerror(error));
	print_result(&options, flows, &result);
	if (options.per_flow) {
		int report_error = write_per_flow(options.per_flow, flows, options.flows);

		if (report_error)
			fprintf(stderr, "flowdam-traffic: %s: %s\n", options.per_flow,
				strerror(report_error));
		error = error ? error : report_error;
	}
	free(flows);
	if (error)
		return 1;
	return result.device_dropped > 0 ? 3 : 0;
}
