# shellcheck shell=sh
# shellcheck disable=SC2154
# SPDX-License-Identifier: Apache-2.0
#
# What both forms of the ExaBGP hook have in common.

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
