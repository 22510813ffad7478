// SPDX-License-Identifier: Apache-2.0
import { type Prefix, PrefixSet } from '@flowdam/common'
import type { Conf, ConfLine } from './conf-file.js'
import { changed, type Fate, ignored, missing, translated } from './finding.js'
import { isIpv4Prefix, readPrefix } from './prefix.js'

export interface Hostgroup {
  /** FastNetMon's; its keys begin with it. */
  name: string
  prefixes: Prefix[]
}

export interface Hostgroups {
  groups: Hostgroup[]
  /** What became of each `hostgroup` line. */
  fates: Map<ConfLine, Fate>
}

/** `hostgroup = NAME:203.0.113.0/28,…`, as often as there are groups; the first of a name counts. */
export function readHostgroups(conf: Conf, networks: readonly Prefix[]): Hostgroups {
  const groups: Hostgroup[] = []
  const fates = new Map<ConfLine, Fate>()
  const owners = new Map<string, string>()
  for (const entry of conf.lines.filter(({ key }) => key === 'hostgroup')) {
    const colon = entry.value.indexOf(':')
    const name = entry.value.slice(0, Math.max(0, colon)).trim()
    if (name === '') {
      conf.complain(entry, `'${entry.value}' is not NAME:PREFIX,PREFIX,…`)
      continue
    }
    if (groups.some((group) => group.name === name)) {
      fates.set(entry, ignored(`the hostgroup '${name}' is there already`))
      continue
    }
    const { prefixes, notes } = readPrefixes(conf, entry, entry.value.slice(colon + 1), networks, owners)
    for (const prefix of prefixes) owners.set(prefix.text, name)
    groups.push({ name, prefixes })
    fates.set(entry, fateOf(prefixes, notes))
  }
  return { groups, fates }
}

function readPrefixes(
  conf: Conf,
  entry: ConfLine,
  list: string,
  networks: readonly Prefix[],
  owners: ReadonlyMap<string, string>,
): { prefixes: Prefix[]; notes: string[] } {
  const ours = new PrefixSet(networks)
  const listed = new Set(networks.map(({ text }) => text))
  const prefixes: Prefix[] = []
  const notes: string[] = []
  for (const text of list.split(',').map((part) => part.trim())) {
    if (text === '') continue
    const prefix = readPrefix(text)
    if (!prefix) {
      conf.complain(entry, `'${text}' is no prefix such as 203.0.113.0/28`)
      continue
    }
    const owner = owners.get(prefix.text)
    if (prefixes.some((known) => known.text === prefix.text)) continue
    if (owner !== undefined) notes.push(`${prefix.text} stays in '${owner}'`)
    else if (!ours.covers(prefix)) notes.push(`${prefix.text} is outside networks_list and left out`)
    else {
      prefixes.push(prefix)
      if (!isIpv4Prefix(prefix))
        notes.push(`FastNetMon has no IPv6 in hostgroups: ${prefix.text} is in force here`)
      else if (!listed.has(prefix.text))
        notes.push(
          `FastNetMon takes no notice of ${prefix.text}, since networks_list has no such line; it is in force here`,
        )
    }
  }
  return { prefixes, notes }
}

function fateOf(prefixes: readonly Prefix[], notes: readonly string[]): Fate {
  if (prefixes.length === 0) {
    return missing(['no prefix is left, so there is no such hostgroup', ...notes].join('; '))
  }
  return notes.length > 0 ? changed(['hostgroups', ...notes].join('; ')) : translated('hostgroups')
}
