// SPDX-License-Identifier: Apache-2.0
import { type Ban, banRates, type HookAction } from '../bans/ban.js'
import { isDropped, levelOf } from '../bans/levels.js'
import { attackMatch, matchWords } from './match.js'
import { attackProtocol, attackType, banAddress } from './report.js'

/** What a hook with `format: json` reads on stdin. docs/hooks.md is the reference; only additions are made to it. */
export function hookDocument(action: HookAction, ban: Ban, attack?: object): Record<string, unknown> {
  const rates = banRates(ban)
  const { name: level, action: levelAction, at } = levelOf(ban)
  return {
    version: 1,
    action,
    id: ban.id,
    prefix: ban.prefix,
    address: banAddress(ban),
    family: ban.prefix.includes(':') ? 6 : 4,
    direction: ban.direction,
    metric: ban.metric,
    threshold: ban.threshold,
    value: ban.value,
    ...rates,
    attack_type: ban.attackType || attackType(ban.rates[ban.direction]),
    attack_id: ban.attackId,
    match: attackMatch(ban),
    protocol: attackProtocol(ban.rates[ban.direction]),
    hostgroup: ban.hostgroup,
    level,
    level_action: levelAction,
    level_at: at,
    who: ban.who,
    reason: ban.reason,
    detected_unix_ms: ban.detectedUnixMs,
    banned_unix_ms: ban.bannedUnixMs,
    until_unix_ms: ban.untilUnixMs,
    ...(action === 'unban'
      ? { unbanned_unix_ms: ban.unbannedUnixMs, ended_by: ban.endedBy, end_reason: ban.endReason }
      : {}),
    ...(isDropped(ban) ? { dropped_packets: ban.dropped.packets, dropped_bytes: ban.dropped.bytes } : {}),
    rates: ban.rates,
    averages: ban.averages,
    ...(attack && { attack }),
  }
}

/** FastNetMon's own third action is its report on an attack that goes on. */
const FASTNETMON_ACTIONS = { ban: 'ban', update: 'attack_details', unban: 'unban' } as const

/** argv behind the configured command, and stdin, by format. */
export function hookInput(
  format: 'fastnetmon' | 'json',
  action: HookAction,
  ban: Ban,
  report: (ban: Ban) => string,
  attack?: object,
): { args: string[]; stdin: string } {
  if (format === 'json') {
    return { args: [action, ban.prefix], stdin: `${JSON.stringify(hookDocument(action, ban, attack))}\n` }
  }
  return {
    args: [banAddress(ban), ban.direction, String(Math.floor(banRates(ban).pps)), FASTNETMON_ACTIONS[action]],
    stdin: action === 'unban' ? '' : report(ban),
  }
}

/** For every format. */
export function hookEnvironment(action: HookAction, ban: Ban): Record<string, string> {
  const { pps, bps, flows } = banRates(ban)
  return {
    FLOWDAM_ACTION: action,
    FLOWDAM_PREFIX: ban.prefix,
    FLOWDAM_ADDRESS: banAddress(ban),
    FLOWDAM_FAMILY: ban.prefix.includes(':') ? '6' : '4',
    FLOWDAM_DIRECTION: ban.direction,
    FLOWDAM_METRIC: ban.metric,
    FLOWDAM_PPS: String(Math.floor(pps)),
    FLOWDAM_BPS: String(Math.floor(bps)),
    FLOWDAM_FLOWS: String(Math.floor(flows)),
    FLOWDAM_HOSTGROUP: ban.hostgroup,
    FLOWDAM_LEVEL: levelOf(ban).name,
    FLOWDAM_LEVEL_ACTION: levelOf(ban).action,
    FLOWDAM_BAN_ID: ban.id,
    FLOWDAM_REASON: ban.reason,
    FLOWDAM_ATTACK_TYPE: ban.attackType,
    FLOWDAM_ATTACK_ID: ban.attackId,
    FLOWDAM_MATCH: matchWords(attackMatch(ban)),
    FLOWDAM_WHO: ban.who,
  }
}
