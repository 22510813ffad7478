# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
#
# What both FlowSpec hooks (RFC 8955, RFC 8956) have in common, on top of blackhole.sh: which rules a ban needs, and the
# file that remembers them, since a rule is withdrawn by naming it again. A hook defines beside `usage` and `check`
#   announce RULE    tells its speaker; the same rule again replaces what it does
#   withdraw RULE    also one that is not there
# A RULE is one line of words: destination|source PREFIX [protocol N] [source-port N] [tcp-flags syn] [fragments].
# shellcheck disable=SC2154,SC2034

FLOWSPEC_SETTINGS='FLOWSPEC_ACTION FLOWSPEC_FOLDER'

flowspec_usage() {
	cat <<'HELP'
What is matched: the address as destination (of an outgoing attack: as source) and what the attack's packets have in
common, as FLOWDAM_MATCH says: protocol, source port of a reflector, SYN without ACK, fragments. A ban by hand, or an
attack of mixed traffic, matches the address alone.

HELP
}

flowspec_settings_usage() {
	cat <<HELP
  FLOWSPEC_ACTION    discard, or "rate-limit N" with N bytes per second (discard)
  FLOWSPEC_FOLDER    where the announced rules are kept (/var/lib/flowdam/$hook)
  MORE_COMMUNITIES   communities, comma-separated: no-export,64500:666 (none)
HELP
}

# Gives flowspec_action, communities, rules.
check_flowspec_settings() {
	flowspec_action=${FLOWSPEC_ACTION:-discard}
	case $flowspec_action in
	discard) ;;
	'rate-limit '*) check_number 'FLOWSPEC_ACTION, bytes per second' "${flowspec_action#rate-limit }" 4294967295 ;;
	*) fail 2 "FLOWSPEC_ACTION: discard, or rate-limit and a number, not '$flowspec_action'" ;;
	esac
	read_communities MORE_COMMUNITIES "${MORE_COMMUNITIES-}" 2 65535
	communities=$found
	check_match "${FLOWDAM_MATCH-}"
	folder=${FLOWSPEC_FOLDER:-/var/lib/flowdam/$hook}
	mkdir -p "$folder" 2>/dev/null || true
	if [ ! -d "$folder" ] || [ ! -w "$folder" ]; then fail 2 "FLOWSPEC_FOLDER: $folder is no folder that we may write in"; fi
	rules=$folder/rules
}

# Gives match_protocol, match_source_port, match_tcp_flags, match_fragments from FLOWDAM_MATCH.
check_match() {
	match_protocol=
	match_source_port=
	match_tcp_flags=
	match_fragments=
	words=$1
	while [ -n "$words" ]; do
		word=${words%% *}
		words=${words#"$word"}
		words=${words# }
		value=${words%% *}
		case $word in
		fragments)
			match_fragments=yes
			continue
			;;
		protocol)
			check_number FLOWDAM_MATCH "$value" 255
			match_protocol=$value
			;;
		source-port)
			check_number FLOWDAM_MATCH "$value" 65535
			match_source_port=$value
			;;
		tcp-flags)
			[ "$value" = syn ] || fail 2 "FLOWDAM_MATCH: not TCP flags that we know: '$value'"
			match_tcp_flags=syn
			;;
		*) fail 2 "FLOWDAM_MATCH: not a word that we know: '$word'" ;;
		esac
		words=${words#"$value"}
		words=${words# }
	done
}

# The rules of a ban of this prefix, one a line.
rules_of() {
	side=destination
	[ "$direction" != outgoing ] || side=source
	rule="$side $1${match_protocol:+ protocol $match_protocol}"
	if [ -n "$match_source_port" ]; then
		echo "$rule source-port $match_source_port"
	elif [ -n "$match_tcp_flags" ]; then
		echo "$rule tcp-flags $match_tcp_flags"
	elif [ -z "$match_fragments" ]; then
		echo "$rule"
	fi
	# Of a reflector's large answers only the first fragment has the port.
	[ -z "$match_fragments" ] || echo "$rule fragments"
}

# The kept rules of this prefix.
kept_rules() {
	[ ! -e "$rules" ] || awk -F '|' -v prefix="$1" '$1 == prefix { print $2 }' "$rules"
}

# Prefix, its rules from now on.
keep_rules() {
	{
		[ ! -e "$rules" ] || awk -F '|' -v prefix="$1" '$1 != prefix' "$rules"
		printf '%s\n' "$2" | awk -v prefix="$1" 'NF && !seen[$0]++ { print prefix "|" $0 }'
	} >"$rules.new"
	mv "$rules.new" "$rules"
}

announced() {
	[ ! -e "$rules" ] || cut -d '|' -f 1 "$rules" | sort -u
}

change() {
	lock "$folder/lock" 7
	while read -r verb prefix; do
		old=$(kept_rules "$prefix")
		case $verb in
		del) new= ;;
		*)
			new=$old
			# Only a ban comes with a match; a resync repeats what the ban said.
			if [ "$action" = ban ] || [ -z "$old" ]; then new=$(rules_of "$prefix"); fi
			;;
		esac
		# Should the speaker fail in the middle, the next attempt must know of all that may be announced.
		keep_rules "$prefix" "$old
$new"
		printf '%s\n' "$old" | while read -r rule; do
			[ -n "$rule" ] || continue
			case "
$new
" in
			*"
$rule
"*) ;;
			*) withdraw "$rule" ;;
			esac
		done
		printf '%s\n' "$new" | while read -r rule; do
			[ -z "$rule" ] || announce "$rule"
		done
		keep_rules "$prefix" "$new"
	done
}
