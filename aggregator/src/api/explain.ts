// SPDX-License-Identifier: Apache-2.0
import { formatDuration, formatPrefix } from '@flowdam/common'
import type { BanLevel } from '@flowdam/proto'
import type { Ban } from '../bans/ban.js'
import type { Bans } from '../bans/bans.js'
import { isAbove, type Level, levelOf, levelsOf, reachedLevels } from '../bans/levels.js'
import type { HostView } from '../detect/views.js'
import { basisOf } from './basis.js'

/** Why the address is banned, or why not, in one sentence. */
export function explain(host: HostView, bans: Bans): string {
  const ban = bans.covering(host.address)
  if (ban) return explainBan(host, bans, ban)
  const [nearest] = host.thresholds
  if (!nearest)
    return `Not banned: ${groupOf(host)} and the defaults set no threshold for ${host.policy.prefix.text}.`
  const share = nearest.current / nearest.rate
  const basis = nearest.learned?.inForce ? `, learned as ${basisOf(nearest.learned)}` : ''
  const distance = `${distanceOf(nearest)} (${groupOf(host)}${basis})`
  if (share <= 1) return `Not banned: ${distance} and nothing else is nearer.`
  if (!bans.rules.enabled) return `Not banned although ${distance}: ban.enabled is false.`
  const prefix = { bytes: host.address, length: 128, text: formatPrefix(host.address, 128) }
  const heldOff = bans.heldOffUntil(prefix.text)
  if (heldOff > 0) {
    return `Not banned although ${distance}: a person removed its ban, and the detector leaves it alone for ${formatDuration(heldOff - Date.now())}.`
  }
  const levels = levelsFor(host, bans)
  const reached = reachedLevels(levels, share).at(-1)
  if (!reached) return `Not banned although ${distance}: ${belowFirst(levels)}.`
  const objection = bans.objection(prefix, reached.action)
  if (objection) return `Not banned although ${distance}: ${objection.message}.`
  return `Not banned yet: ${distance}.`
}

function explainBan(host: HostView, bans: Bans, ban: Ban): string {
  const level = levelOf(ban)
  const does = { notify: 'Watched, not banned,', drop: 'Dropped at the agents', blackhole: 'Banned' }
  const where = level.name === '' ? `Banned as ${ban.prefix}` : `${does[level.action]} as ${ban.prefix}`
  const at = level.name === '' ? '' : ` at level '${level.name}'`
  const why =
    ban.who === 'detector' ? `the detector saw ${ban.reason}` : `${ban.who} asked for it: ${ban.reason}`
  const left = formatDuration(Math.max(0, ban.untilUnixMs - Date.now()))
  const dryRun = ban.dryRun ? ' (dry run: no hook was run)' : ''
  const next = levelsFor(host, bans).find((each) => isAbove(each, level))
  const climbs = next ? `; '${next.name}' (${next.action}) follows at ${next.at} × the threshold` : ''
  return `${where}${at} because ${why}; ends in ${left} unless the attack goes on${climbs}${dryRun}.`
}

/** For people: what holds for this address; nothing where no levels are configured. */
export function levelStates(host: HostView, bans: Bans, ban: Ban | undefined): BanLevel[] {
  const inForce = ban && levelOf(ban).name
  return levelsFor(host, bans)
    .filter(({ name }) => name !== '')
    .map(({ name, at, action, hooks }) => ({
      ...{ name, at, action, hooks: hooks === 'all' ? [] : [...hooks] },
      inForce: name === inForce,
    }))
}

function levelsFor(host: HostView, bans: Bans): readonly Level[] {
  return levelsOf(bans.rules.levels, host.policy.hostgroup)
}

function belowFirst([first]: readonly Level[]): string {
  if (!first) return 'every level is off here'
  return `the lowest level, '${first.name}', begins at ${first.at} × the threshold`
}

function groupOf({ policy }: HostView): string {
  return policy.hostgroup ? `hostgroup '${policy.hostgroup}'` : 'no hostgroup'
}

function distanceOf({ limit, rate, current, of }: HostView['thresholds'][number]): string {
  const whose = of === '' ? '' : ` of ${of} together`
  const percent = Math.round((current / rate) * 100)
  return `${limit.direction} ${limit.metric}${whose} is at ${percent} % of its threshold`
}
