# SPDX-License-Identifier: Apache-2.0
#
# Addresses and prefixes, one a line, in the one spelling that all speakers and comparisons share: with a length, IPv6
# as RFC 5952 has it. Blank lines and comments are left out. The first line that is none ends it with status 2.

function refuse(why) {
	printf "not an address%s: '%s'\n", why, shown > "/dev/stderr"
	exit 2
}

function hex(digits,    i, value) {
	value = 0
	for (i = 1; i <= length(digits); i++)
		value = value * 16 + index("0123456789abcdef", substr(digits, i, 1)) - 1
	return value
}

# Fills parts[from …] with the groups of one side of "::"; returns how many.
function groups(text, from,    count, i, pieces) {
	if (text == "") return 0
	count = split(text, pieces, ":")
	for (i = 1; i <= count; i++) {
		if (pieces[i] !~ /^[0-9a-f][0-9a-f]?[0-9a-f]?[0-9a-f]?$/) refuse("")
		parts[from + i - 1] = hex(pieces[i])
	}
	return count
}

function read6(text,    halves, sides, left, right, i, gap) {
	sides = split(text, halves, "::")
	if (sides > 2 || text ~ /:::/) refuse("")
	left = groups(halves[1], 1)
	right = sides == 2 ? groups(halves[2], 9) : 0
	if (sides == 2 ? left + right > 7 : left != 8) refuse("")
	gap = 8 - left - right
	if (sides == 2) {
		for (i = 1; i <= right; i++) late[i] = parts[8 + i]
		for (i = 1; i <= gap; i++) parts[left + i] = 0
		for (i = 1; i <= right; i++) parts[left + gap + i] = late[i]
	}
}

function read4(text,    pieces, i) {
	if (split(text, pieces, ".") != 4) refuse("")
	for (i = 1; i <= 4; i++) {
		if (pieces[i] !~ /^(0|[1-9][0-9]?[0-9]?)$/ || pieces[i] > 255) refuse("")
		parts[i] = pieces[i] + 0
	}
}

# The longest run of two or more zero groups becomes "::", the first one of equals.
function text6(    i, run, best, length_, out) {
	best = 0
	length_ = 1
	run = 0
	for (i = 1; i <= 8; i++) {
		run = parts[i] == 0 ? run + 1 : 0
		if (run > length_) {
			length_ = run
			best = i - run + 1
		}
	}
	out = ""
	for (i = 1; i <= 8; i++) {
		if (best && i == best) {
			out = out "::"
			i += length_ - 1
		} else {
			out = out (out == "" || out ~ /:$/ ? "" : ":") sprintf("%x", parts[i])
		}
	}
	return out
}

# What stands behind the prefix's length must be zero.
function checkHostBits(count, width, prefixLength,    i, free) {
	for (i = 1; i <= count; i++) {
		free = i * width - prefixLength
		if (free > width) free = width
		if (free > 0 && parts[i] % 2 ^ free != 0) refuse(" of a network, it has host bits")
	}
}

{
	sub(/\r$/, "")
	gsub(/^[ \t]+|[ \t]+$/, "")
	if ($0 == "" || /^#/) next
	shown = $0
	text = tolower($0)
	slash = index(text, "/")
	prefixLength = slash ? substr(text, slash + 1) : ""
	if (slash) text = substr(text, 1, slash - 1)
	six = index(text, ":") > 0
	longest = six ? 128 : 32
	if (!slash) prefixLength = longest
	if (prefixLength !~ /^(0|[1-9][0-9]?[0-9]?)$/ || prefixLength + 0 > longest) refuse(" with that length")
	if (six) {
		read6(text)
		checkHostBits(8, 16, prefixLength)
		print text6() "/" prefixLength
	} else {
		read4(text)
		checkHostBits(4, 8, prefixLength)
		print parts[1] "." parts[2] "." parts[3] "." parts[4] "/" prefixLength
	}
}
