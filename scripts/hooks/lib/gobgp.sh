# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
#
# What both GoBGP hooks have in common.
# shellcheck disable=SC2034

# Gives gobgp, host, port.
check_gobgp() {
	gobgp=${GOBGP:-gobgp}
	needs_command "$gobgp" gobgp GOBGP
	# Both parts of the API's address; an IPv6 host comes in brackets.
	api=${GOBGP_API:-127.0.0.1:50051}
	port=${api##*:}
	host=${api%:*}
	host=${host#[}
	host=${host%]}
}

# gobgp 3 prints some errors on standard output with status 0, so anything it says to a change is an error.
# After the first line comes its help.
run_gobgp() {
	status=0
	said=$("$gobgp" -u "$host" -p "$port" global rib "$@" 2>&1) || status=$?
	[ "$status" -eq 0 ] && [ -z "$said" ] && return
	fail 1 "gobgp global rib $*: $(first_line "$said")"
}
