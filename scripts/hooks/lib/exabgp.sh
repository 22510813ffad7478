# shellcheck shell=sh
# shellcheck disable=SC2154
# SPDX-License-Identifier: Apache-2.0
#
# What the ExaBGP hooks have in common.

# The route of a prefix as ExaBGP's text commands have it, behind "announce route" or "withdraw route".
exabgp_route() {
	printf '%s next-hop %s community [%s]' "$1" "$(next_hop_of "$1")" "$communities"
	[ -z "$large_communities" ] || printf ' large-community [%s]' "$large_communities"
	[ -z "$local_pref" ] || printf ' local-preference %s' "$local_pref"
	echo
}

# Set EXABGP_NEIGHBOR: the words before the command that choose neighbours.
exabgp_neighbor() {
	[ -z "${EXABGP_NEIGHBOR-}" ] && return
	neighbor=$(canonical EXABGP_NEIGHBOR "$EXABGP_NEIGHBOR")
	printf 'neighbor %s ' "${neighbor%/*}"
}

# For the help of those that use exabgpcli.
exabgp_cli_settings_usage() {
	cat <<'HELP'
  EXABGPCLI          the exabgpcli command (exabgpcli)
  EXABGP_ROOT        ExaBGP's --root, where its pipes are below run/exabgp (none)
  EXABGP_PIPE        the pipes' name, exabgp.api.pipename (exabgp)
  EXABGP_NEIGHBOR    announce to this neighbour only (to all)
  EXABGP_LOCK        one command at a time, by this file (/run/flowdam/exabgp.lock; without that folder, which the
                     service makes, /run/lock/flowdam-exabgp.lock)
HELP
}

# Gives exabgpcli, neighbor.
check_exabgp_cli() {
	exabgpcli=${EXABGPCLI:-exabgpcli}
	needs_command "$exabgpcli" exabgp EXABGPCLI
	neighbor=$(exabgp_neighbor)
	# In /run/lock everybody could hold it.
	default=/run/lock/flowdam-exabgp.lock
	[ ! -d /run/flowdam ] || default=/run/flowdam/exabgp.lock
	lock "${EXABGP_LOCK:-$default}"
}

# exabgpcli ends with status 0 whatever happened, and says nothing when a command went well. Gives said.
ask_exabgp() {
	status=0
	said=$(
		[ -z "${EXABGP_PIPE-}" ] || export exabgp_api_pipename="$EXABGP_PIPE"
		"$exabgpcli" ${EXABGP_ROOT:+--root "$EXABGP_ROOT"} "$@" 2>&1
	) || status=$?
	[ "$status" -eq 0 ] || fail 1 "$(first_line "$said")"
}

# A command that changes something.
tell_exabgp() {
	ask_exabgp "$neighbor$1" </dev/null
	[ -z "$said" ] || fail 1 "$neighbor$1: $(first_line "$said")"
}
