// SPDX-License-Identifier: Apache-2.0
import { formatDuration } from '@flowdam/common'
import type { Ban, HookRun } from '@flowdam/proto'
import { phrase } from './fields.js'
import { formatBps, formatMetric, formatPps, formatRecent } from './units.js'

/** `since 04:49:07, ends in 26m 12s unless the attack goes on; pps over 20 kpps: 98.3 kpps, 1.1 Gbit/s`. */
export function summariseBan(ban: Ban, nowMs: number): string {
  const since = `since ${formatRecent(ban.bannedUnixMs, nowMs)}`
  const dryRun = ban.dryRun ? ' (dry run)' : ''
  const traffic = ban.metric === 'manual' ? '' : `: ${phrase(banTraffic(ban))}`
  const level = ban.level === '' ? '' : `at level ${levelWord(ban)} `
  return `${level}${since}, ${untilSentence(ban, nowMs)}; ${cause(ban)}${traffic}${dryRun}`
}

function untilSentence({ untilUnixMs, metric }: Ban, nowMs: number): string {
  if (untilUnixMs === 0) return 'without an end'
  const left = formatDuration(Math.max(0, untilUnixMs - nowMs))
  return metric === 'manual' ? `ends in ${left}` : `ends in ${left} unless the attack goes on`
}

/**
 * What the ban is about: the threshold that was crossed, or who asked for it. The value that crossed it is not shown:
 * a window fires on the first packet too many, so it is always a little over the threshold.
 */
export function cause(ban: Ban): string {
  if (ban.metric === 'manual') return `by hand${ban.who === '' ? '' : `, ${ban.who}`}`
  return `${ban.metric} over ${formatMetric(ban.metric, ban.threshold)}`
}

/** How strong it was when it was banned; nothing for a ban by hand without traffic. */
export function banTraffic({ rates }: Ban): string {
  return rates && rates.pps > 0 ? `${formatPps(rates.pps)}, ${formatBps(rates.bps)}` : ''
}

export function timeLeft({ untilUnixMs }: Ban, nowMs: number): string {
  return untilUnixMs === 0 ? 'no end' : formatDuration(Math.max(0, untilUnixMs - nowMs))
}

/** `filter (drop)`; nothing where no levels are configured. */
export function levelWord({ level, action }: Ban): string {
  return level === '' ? '' : `${level} (${action})`
}

/** All hooks' last attempts in one word, the worst first. */
export function hooksWord({ hooks, dryRun }: Ban): string {
  if (dryRun) return 'dry run'
  if (hooks.length === 0) return 'none'
  const results = [...lastAttempts(hooks).values()].map(({ result }) => result)
  return ['failed', 'timeout', 'running'].find((word) => results.includes(word)) ?? 'ok'
}

function lastAttempts(hooks: readonly HookRun[]): Map<string, HookRun> {
  const last = new Map<string, HookRun>()
  for (const run of hooks) {
    const key = `${run.hook} ${run.action}`
    if (run.attempt >= (last.get(key)?.attempt ?? 0)) last.set(key, run)
  }
  return last
}
