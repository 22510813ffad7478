// SPDX-License-Identifier: Apache-2.0
import { formatDuration } from '@flowdam/common'
import type { Ban, HookRun } from '@flowdam/proto'
import { formatMetric, formatRecent } from './units.js'

/** `since 04:49:07, ends in 26m 12s unless the attack goes on; 52 kpps over 20 kpps`. */
export function summariseBan(ban: Ban, nowMs: number): string {
  const since = `since ${formatRecent(ban.bannedUnixMs, nowMs)}`
  const dryRun = ban.dryRun ? ' (dry run)' : ''
  return `${since}, ${untilSentence(ban, nowMs)}; ${cause(ban)}${dryRun}`
}

function untilSentence({ untilUnixMs, metric }: Ban, nowMs: number): string {
  if (untilUnixMs === 0) return 'without an end'
  const left = formatDuration(Math.max(0, untilUnixMs - nowMs))
  return metric === 'manual' ? `ends in ${left}` : `ends in ${left} unless the attack goes on`
}

/** What the ban is about: the rate and threshold that fired, or who asked for it. */
export function cause(ban: Ban): string {
  if (ban.metric === 'manual') return `by hand${ban.who === '' ? '' : `, ${ban.who}`}`
  return `${ban.metric} ${formatMetric(ban.metric, ban.value)} over ${formatMetric(ban.metric, ban.threshold)}`
}

export function timeLeft({ untilUnixMs }: Ban, nowMs: number): string {
  return untilUnixMs === 0 ? 'no end' : formatDuration(Math.max(0, untilUnixMs - nowMs))
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
