// SPDX-License-Identifier: Apache-2.0
import type { Prefix } from '@flowdam/common'
import { contains } from '@flowdam/common'
import type { Conf } from './conf-file.js'
import type { Hostgroup } from './hostgroups.js'
import { isIpv4Prefix } from './prefix.js'
import { readThresholds, type Thresholds } from './thresholds.js'

/** Thresholds of some prefixes. */
export interface Group {
  name: string
  prefixes: readonly string[]
  thresholds: Thresholds
  /** Why it is there, for who reads the file. */
  why: string
}

/** What is over which threshold when, in our terms: the default and what differs from it. */
export interface Policy {
  banEnabled: boolean
  directions: readonly ('incoming' | 'outgoing')[]
  defaults: Thresholds
  groups: readonly Group[]
}

const NONE: Thresholds = new Map()

/**
 * FastNetMon has one set of thresholds for both directions. IPv4 outside hostgroups is banned where `enable_ban` is on,
 * IPv6 where `enable_ban_ipv6` is, a hostgroup where its own `NAME_enable_ban` is.
 */
export function policyOf(conf: Conf, networks: readonly Prefix[], hostgroups: readonly Hostgroup[]): Policy {
  const all = readThresholds(conf, '')
  const v4 = networks.filter(isIpv4Prefix)
  const v6 = networks.filter((prefix) => !isIpv4Prefix(prefix))
  const bans = {
    v4: v4.length > 0 && conf.isOn('enable_ban'),
    v6: v6.length > 0 && conf.isOn('enable_ban_ipv6'),
    groups: hostgroups.filter(({ name }) => conf.isOn(`${name}_enable_ban`)),
  }
  const banEnabled = bans.v4 || bans.v6 || bans.groups.length > 0
  // Where nothing is banned, attacks are still detected: with the thresholds that would hold.
  const inForce = (banned: boolean, thresholds: Thresholds) => (banned || !banEnabled ? thresholds : NONE)
  const defaults = v4.length > 0 ? inForce(bans.v4, all) : inForce(bans.v6, all)
  const names = new Names()
  const groups: Group[] = []
  if (v4.length > 0 && v6.length > 0 && bans.v4 !== bans.v6) {
    groups.push({
      name: names.free('ipv6'),
      prefixes: v6.map(({ text }) => text),
      thresholds: inForce(bans.v6, all),
      why: 'enable_ban and enable_ban_ipv6 differ',
    })
  }
  for (const { name, prefixes } of hostgroups) {
    if (prefixes.length === 0) continue
    groups.push({
      name: names.free(name),
      prefixes: prefixes.map(({ text }) => text),
      thresholds: inForce(conf.isOn(`${name}_enable_ban`), readThresholds(conf, `${name}_`)),
      why: `hostgroup ${name}`,
    })
  }
  groups.push(...notInherited(v4, hostgroups, defaults, names))
  const directions = (['incoming', 'outgoing'] as const).filter((direction) =>
    conf.isOn(`process_${direction}_traffic`, true),
  )
  return { banEnabled, directions, defaults, groups }
}

/** A network inside a hostgroup's prefix is not in that hostgroup for FastNetMon; here it would be. */
function notInherited(
  networks: readonly Prefix[],
  hostgroups: readonly Hostgroup[],
  defaults: Thresholds,
  names: Names,
): Group[] {
  const grouped = hostgroups.flatMap(({ prefixes }) => prefixes)
  const own = new Set(grouped.map(({ text }) => text))
  const inside = networks.filter(
    (network) => !own.has(network.text) && grouped.some((prefix) => contains(prefix, network)),
  )
  if (inside.length === 0) return []
  const why = 'lines of networks_list of their own, inside a hostgroup: for FastNetMon not in it'
  return [{ name: names.free('global'), prefixes: inside.map(({ text }) => text), thresholds: defaults, why }]
}

/** Names that aggregator.yaml takes, each once. */
class Names {
  readonly #used = new Set<string>()

  free(wanted: string): string {
    const base = wanted.replace(/[^A-Za-z0-9._-]/g, '_').slice(0, 60)
    let name = base
    for (let count = 2; this.#used.has(name); count++) name = `${base}-${count}`
    this.#used.add(name)
    return name
  }
}
