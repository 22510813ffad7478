# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
#
# What every hook that blackholes has in common: arguments, settings, prefixes, the order of a resync. A hook sets
#   hook        its name: for messages, and for its settings file
#   settings    names that its settings file may have, beside those of every route below
# defines
#   usage       prints its help
#   check       looks at its settings and whether the speaker's command is there; ends by `fail`
#   announced   prints the prefixes that it has announced, one a line, as the speaker knows them
#   change      carries out the lines on its standard input: "add PREFIX", "keep PREFIX" (add it again where that is
#               cheap, so that changed settings take effect), "del PREFIX". Again and again does no harm.
# and calls: blackhole "$@"
# hooks is the folder of the hooks.
# shellcheck disable=SC2154,SC2034

# Character ranges mean ASCII; messages of other programs are looked at.
export LC_ALL=C

ROUTE_SETTINGS='FAMILIES NEXT_HOP_4 NEXT_HOP_6 COMMUNITIES MORE_COMMUNITIES LARGE_COMMUNITIES LOCAL_PREF'

# For the end of each help text.
route_usage() {
	cat <<'HELP'
  NEXT_HOP_4         next hop that the upstream discards (192.0.2.1; RFC 7999 section 3.4 leaves it to the two of you)
  NEXT_HOP_6         the same for IPv6 (100::1, of the discard prefix of RFC 6666)
  COMMUNITIES        communities; the first one marks our announcements (65535:666, BLACKHOLE)
  MORE_COMMUNITIES   further ones, comma-separated: no-export,64500:666 (none)
  LARGE_COMMUNITIES  large ones (RFC 8092), comma-separated: 64500:666:0 (none)
  LOCAL_PREF         local preference, for iBGP (none)
  FAMILIES           4 or 6: nothing is done for the other family, which may have another hook (4 6)
HELP
}

# For every help text: how hooks are called.
call_usage() {
	cat <<HELP
$hook [--config FILE] ADDRESS DIRECTION PPS ban|unban
$hook [--config FILE] ban|unban PREFIX
$hook [--config FILE] resync --list COMMAND
$hook [--config FILE] resync [--none] < PREFIXES
HELP
}

# For every help text: where settings come from.
settings_usage() {
	cat <<HELP
resync makes the announcements equal to the active bans, one prefix a line; run it after the speaker was restarted. With
--list they are what COMMAND prints ('flowdam bans list --prefixes'), asked again until what was changed agrees with it,
so that a ban which comes or ends meanwhile is neither lost nor left. Without it they are on standard input; an empty one
is refused, since it is more likely a broken pipe than no bans: say --none for that.

Settings are lines of NAME=value in FILE (default: what $(conf_variable) says, else /etc/flowdam/$hook.conf, which need
not exist), or come from the environment; the file wins.

HELP
}

exit_usage() {
	cat <<'HELP'

Exit status: 0 done, 1 the speaker failed (its message is on standard error), 2 wrong arguments or settings.
HELP
}

fail() {
	status=$1
	shift
	printf '%s hook: %s\n' "$hook" "$*" >&2
	exit "$status"
}

first_line() {
	printf '%s\n' "$1" | sed -n '/[^[:space:]]/{p;q;}'
}

needs_command() {
	command -v "$1" >/dev/null || fail 1 "there is no '$1' command; install $2 or set $3"
}

# A file that there must be. One that another user made is left alone: root may run a resync, the aggregator's user the
# rest, and in a folder such as /run/lock nobody may open another's file to make it (fs.protected_regular).
need_file() {
	[ -e "$1" ] || touch "$1" 2>/dev/null || [ -e "$1" ]
}

# Hooks for other prefixes run at the same time. Held until we end. A second lock needs a descriptor of its own.
lock() {
	# An exec that fails would end dash without a word.
	if ! need_file "$1" || [ ! -r "$1" ]; then fail 1 "cannot open the lock $1"; fi
	eval "exec ${2:-9}<\"\$1\""
	flock -w 20 "${2:-9}" || fail 1 "another $hook hook has held $1 for 20 s"
}

conf_variable() {
	printf 'FLOWDAM_%s_CONF' "$(printf %s "$hook" | tr 'a-z-' 'A-Z_')"
}

# Not sourced: a misspelt name must not go unnoticed, nor a command be executed.
read_settings() {
	variable=$(conf_variable)
	eval "named=\${$variable-}"
	file=${config:-${named:-/etc/flowdam/$hook.conf}}
	if [ ! -e "$file" ]; then
		[ -z "$config$named" ] || fail 2 "the configuration $file does not exist"
		return 0
	fi
	if [ ! -f "$file" ] || [ ! -r "$file" ]; then fail 2 "cannot read $file"; fi
	number=0
	while IFS= read -r line || [ -n "$line" ]; do
		number=$((number + 1))
		line=${line#"${line%%[![:space:]]*}"}
		line=${line%"${line##*[![:space:]]}"}
		case $line in
		'' | '#'*) continue ;;
		*=*) ;;
		*) fail 2 "$file:$number: not NAME=value: $line" ;;
		esac
		name=${line%%=*}
		value=${line#*=}
		case $name in
		'' | *[!A-Z0-9_]*) fail 2 "$file:$number: not the name of a setting: '$name'" ;;
		esac
		case " $settings $ROUTE_SETTINGS " in
		*" $name "*) ;;
		*) fail 2 "$file:$number: no setting is called $name; there are $settings $ROUTE_SETTINGS" ;;
		esac
		case $value in
		\'*\' | \"*\")
			value=${value#?}
			value=${value%?}
			;;
		esac
		eval "$name=\$value"
	done <"$file"
}

# An address or prefix in its one spelling; what is none ends the hook.
canonical() {
	case $2 in
	*[[:space:]]* | '' | '#'*) fail 2 "$1: not an address: '$2'" ;;
	esac
	printf '%s\n' "$2" | awk -f "$hooks/lib/prefix.awk" 2>/dev/null && return
	fail 2 "$1: $(printf '%s\n' "$2" | awk -f "$hooks/lib/prefix.awk" 2>&1)"
}

family_of() {
	case $1 in
	*:*) echo 6 ;;
	*) echo 4 ;;
	esac
}

next_hop_of() {
	case $1 in
	*:*) echo "$next_hop_6" ;;
	*) echo "$next_hop_4" ;;
	esac
}

check_next_hop() {
	prefix=$(canonical "$1" "$2")
	case $prefix in
	*:*/128) [ "$3" = 6 ] && return ;;
	*:*/*) ;;
	*/32) [ "$3" = 4 ] && return ;;
	esac
	fail 2 "$1: not an IPv$3 address: '$2'"
}

# A decimal number that fits: name, text, highest.
check_number() {
	case $2 in
	'' | *[!0-9]* | ???????????*) fail 2 "$1: not a number from 0 to $3: '$2'" ;;
	esac
	[ "$2" -le "$3" ] || fail 2 "$1: not a number from 0 to $3: '$2'"
}

# Comma-separated communities, each as numbers, separated by spaces: name, text, parts, highest part.
read_communities() {
	found=
	rest=$2,
	while [ -n "$rest" ]; do
		community=${rest%%,*}
		rest=${rest#*,}
		[ -n "$community" ] || continue
		case $3:$community in
		2:blackhole) community=65535:666 ;;
		2:no-export) community=65535:65281 ;;
		2:no-advertise) community=65535:65282 ;;
		2:no-peer) community=65535:65284 ;;
		esac
		parts=0
		numbers=$community:
		while [ -n "$numbers" ]; do
			(check_number "$1" "${numbers%%:*}" "$4") 2>/dev/null || fail 2 "$1: not a community: '$community'"
			numbers=${numbers#*:}
			parts=$((parts + 1))
		done
		[ "$parts" -eq "$3" ] || fail 2 "$1: not a community: '$community'"
		found="$found${found:+ }$community"
	done
}

# Whether FAMILIES has the prefix's.
ours() {
	case " ${FAMILIES:-4 6} " in
	*" $(family_of "$1") "*) ;;
	*) return 1 ;;
	esac
}

check_families() {
	case ${FAMILIES:-4 6} in
	4 | 6 | '4 6') ;;
	*) fail 2 "FAMILIES: not 4, 6, or 4 6: '$FAMILIES'" ;;
	esac
}

# The lines of standard input whose family is ours.
only_ours() {
	case ${FAMILIES:-4 6} in
	4) sed '/:/d' ;;
	6) sed -n '/:/p' ;;
	*) cat ;;
	esac
}

# Gives next_hop_4, next_hop_6, communities, large_communities, local_pref, mark.
check_route_settings() {
	next_hop_4=${NEXT_HOP_4:-192.0.2.1}
	next_hop_6=${NEXT_HOP_6:-100::1}
	check_next_hop NEXT_HOP_4 "$next_hop_4" 4
	check_next_hop NEXT_HOP_6 "$next_hop_6" 6
	read_communities COMMUNITIES "${COMMUNITIES:-65535:666}" 2 65535
	[ -n "$found" ] || fail 2 "COMMUNITIES: there must be one"
	mark=${found%% *}
	communities=$found
	read_communities MORE_COMMUNITIES "${MORE_COMMUNITIES-}" 2 65535
	communities=$communities${found:+ $found}
	read_communities LARGE_COMMUNITIES "${LARGE_COMMUNITIES-}" 3 4294967295
	large_communities=$found
	local_pref=${LOCAL_PREF-}
	[ -z "$local_pref" ] || check_number LOCAL_PREF "$local_pref" 4294967295
}

# Some speakers show well-known communities by name: the mark as they do.
mark_name() {
	case $mark in
	65535:666) echo blackhole ;;
	65535:65281) echo no-export ;;
	65535:65282) echo no-advertise ;;
	*) echo "$mark" ;;
	esac
}

# The lines for `change` that lead from what is announced to what is wanted.
differences() {
	printf '%s\n' "$1" "--" "$2" | awk '
		$0 == "" { next }
		$0 == "--" { second = 1; next }
		!second { have[$0] = 1; next }
		!($0 in seen) { seen[$0] = 1; print (($0 in have) ? "keep " : "add ") $0 }
		END { for (prefix in have) if (!(prefix in seen)) print "del " prefix }'
}

# Of the lines of standard input.
prefixes_of() {
	found=$(awk -f "$hooks/lib/prefix.awk" 2>&1) || fail "$1" "$2: $(first_line "$found")"
	printf '%s\n' "$found" | only_ours
}

# The bans in force by now. That the command failed does not mean that there are none.
listed() {
	text=$(sh -c "$list") || fail 1 "--list: '$list' failed"
	printf '%s\n' "$text" | prefixes_of 1 "--list: '$list'"
}

# A ban may have come or ended, and its hook have run, between the list and the changes that followed from it. So what was
# changed is compared with a list of later, until they agree: what changes after that list has its hook run after us.
settle() {
	for round in 1 2 3 4 5 6 7 8 9; do
		wanted=$(listed)
		changes=$(printf '%s\n' "$wanted" "--" "$changes" | awk '
			$0 == "--" { second = 1; next }
			!second { wanted[$0] = 1; next }
			$1 == "del" && ($2 in wanted) { print "add " $2 }
			($1 == "add" || $1 == "keep") && !($2 in wanted) { print "del " $2 }')
		[ -n "$changes" ] || return 0
		printf '%s\n' "$changes" | change
	done
	fail 1 "the bans changed $round times meanwhile; run resync again"
}

resync() {
	wanted=
	if [ -z "$list" ] && [ "$none" = no ]; then
		wanted=$(prefixes_of 2 "standard input")
		[ -n "$wanted" ] || fail 2 "no prefix on standard input; if there really is no ban, say resync --none"
	fi
	# Before the list: what is announced from here on is nothing that we would withdraw.
	have=$(announced)
	have=$(printf '%s\n' "$have" | prefixes_of 1 "the speaker's list has what we cannot read")
	[ -z "$list" ] || wanted=$(listed)
	changes=$(differences "$have" "$wanted")
	made=$changes
	# Also without a change, since settings may have changed.
	printf '%s\n' "$changes" | sed '/^$/d' | change
	[ -z "$list" ] || settle
	printf '%s\n' "$made" |
		awk '{ n[$1]++ } END { printf "%d announced, %d kept, %d withdrawn\n", n["add"], n["keep"], n["del"] }'
}

blackhole() {
	config=
	none=no
	list=
	direction=${FLOWDAM_DIRECTION:-incoming}
	while :; do
		case ${1-} in
		-h | --help)
			usage
			exit 0
			;;
		--config)
			[ -n "${2-}" ] || fail 2 "--config needs a file"
			config=$2
			shift 2
			;;
		*) break ;;
		esac
	done
	case $#:${1-}:${2-} in
	1:resync:) action=resync ;;
	3:resync:--list)
		action=resync
		list=$3
		[ -n "$list" ] || fail 2 "--list needs a command"
		;;
	2:resync:--none)
		action=resync
		none=yes
		;;
	2:ban:* | 2:unban:*)
		action=$1
		address=$2
		;;
	4:*)
		action=$4
		address=$1
		direction=$2
		;;
	*) fail 2 "needs four arguments: ADDRESS DIRECTION PPS ban|unban, or resync (see --help)" ;;
	esac
	case $action in
	ban | unban | resync) ;;
	*) fail 2 "the action is ban or unban, not '$action'" ;;
	esac
	[ "$action" = resync ] || prefix=$(canonical "the ban's address" "$address")
	read_settings
	# Their checks use names of their own, our prefix among them.
	ban=${prefix-}
	check_families
	check
	[ "$action" = resync ] || ours "$ban" || exit 0
	case $action in
	ban) echo "add $ban" | change ;;
	unban) echo "del $ban" | change ;;
	resync) resync ;;
	esac
}
