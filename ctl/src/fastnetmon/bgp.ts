// SPDX-License-Identifier: Apache-2.0
import { isIpv4, parseAddress } from '@flowdam/common'
import type { Conf, ConfLine } from './conf-file.js'

/** A BGP hook of ours and its settings file. */
export interface BgpHook {
  name: string
  /** Its program in scripts/hooks. */
  program: 'exabgp-fifo' | 'gobgp'
  settings: readonly (readonly [name: string, value: string])[]
}

const DEFAULT_COMMUNITY = '65001:666'

/** The hooks for what FastNetMon announces of single addresses. */
export function bgpHooks(conf: Conf): BgpHook[] {
  return [...exabgpHooks(conf), ...gobgpHooks(conf)]
}

/** Why FastNetMon itself would not use ExaBGP though it is on; empty when it would. */
export function exabgpObstacle(conf: Conf): string {
  for (const key of ['exabgp_command_pipe', 'exabgp_next_hop']) {
    if (conf.text(key) === '') return `without ${key} FastNetMon turns ExaBGP off`
  }
  const community = conf.text('exabgp_community_host') || conf.text('exabgp_community')
  return community === '' ? 'without exabgp_community FastNetMon turns ExaBGP off' : ''
}

function exabgpHooks(conf: Conf): BgpHook[] {
  if (!conf.isOn('exabgp') || exabgpObstacle(conf) !== '' || !conf.isOn('exabgp_announce_host')) return []
  const community = conf.find('exabgp_community_host') ?? conf.find('exabgp_community')
  const nextHop = conf.text('exabgp_next_hop')
  return [
    {
      name: 'exabgp',
      program: 'exabgp-fifo',
      settings: [
        ['EXABGP_FIFO', pathOf(conf, 'exabgp_command_pipe')],
        ['FAMILIES', '4'],
        ['NEXT_HOP_4', nextHop === 'self' ? nextHop : address(conf, 'exabgp_next_hop', 4, '')],
        ['COMMUNITIES', communities(conf, community)],
      ],
    },
  ]
}

function gobgpHooks(conf: Conf): BgpHook[] {
  if (!conf.isOn('gobgp')) return []
  const families = [
    { family: 4, suffix: '', nextHop: '0.0.0.0' },
    { family: 6, suffix: '_ipv6', nextHop: '100::1' },
  ] as const
  return families
    .filter(({ suffix }) => conf.isOn(`gobgp_announce_host${suffix}`))
    .map(({ family, suffix, nextHop }) => ({
      name: `gobgp-ipv${family}`,
      program: 'gobgp' as const,
      settings: [
        ['FAMILIES', String(family)],
        [`NEXT_HOP_${family}`, address(conf, `gobgp_next_hop${suffix}`, family, nextHop)],
        ['COMMUNITIES', communities(conf, conf.find(`gobgp_community_host${suffix}`))],
      ] as const,
    }))
}

function pathOf(conf: Conf, key: string): string {
  const found = conf.find(key)
  if (found && !/^\/[^\s'"]+$/.test(found.value)) conf.complain(found, `'${found.value}' is no absolute path`)
  return found?.value ?? ''
}

function address(conf: Conf, key: string, family: 4 | 6, absent: string): string {
  const found = conf.find(key)
  if (!found) return absent
  try {
    if (isIpv4(parseAddress(found.value)) === (family === 4)) return found.value
  } catch {
    // Told below.
  }
  conf.complain(found, `'${found.value}' is no IPv${family} address`)
  return absent
}

/** `65001:666` or `[65001:666 65001:777]`, with commas between for our settings. */
function communities(conf: Conf, found: ConfLine | undefined): string {
  if (!found) return DEFAULT_COMMUNITY
  const list = found.value
    .replace(/^\[(.*)\]$/, '$1')
    .split(/[\s,]+/)
    .filter((one) => one !== '')
  const wrong = list.find((one) => {
    const parts = /^(\d{1,5}):(\d{1,5})$/.exec(one)
    return !parts || Number(parts[1]) > 65_535 || Number(parts[2]) > 65_535
  })
  if (list.length === 0 || wrong !== undefined) {
    conf.complain(found, `'${wrong ?? found.value}' is no community such as 65001:666`)
  }
  return list.join(',')
}
