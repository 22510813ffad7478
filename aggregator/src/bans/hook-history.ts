// SPDX-License-Identifier: Apache-2.0
import type { Ban, HookRun } from './ban.js'

const MOST_RUNS = 50
/** Of each hook: updates come every minute, and must not push out what happened at the ban. */
const MOST_UPDATES = 3

/** Puts an attempt of a hook into the ban's history, in place of what was known while it ran. */
export function recordRun(ban: Ban, run: HookRun): void {
  const { hooks } = ban
  const at = hooks.findIndex(
    (known) =>
      known.result === 'running' && known.hook === run.hook && known.startedUnixMs === run.startedUnixMs,
  )
  if (at >= 0) hooks[at] = run
  else hooks.push(run)
  if (run.action === 'update') {
    const updates = hooks.filter(({ hook, action }) => hook === run.hook && action === 'update')
    for (const old of updates.slice(0, -MOST_UPDATES)) hooks.splice(hooks.indexOf(old), 1)
  }
  if (hooks.length > MOST_RUNS) hooks.splice(0, hooks.length - MOST_RUNS)
}

/** Whether the last attempt of some hook's last action failed. */
export function isHookFailing({ hooks }: Ban): boolean {
  const last = new Map<string, HookRun>()
  for (const run of hooks) if (run.result !== 'running') last.set(run.hook, run)
  return [...last.values()].some(({ result }) => result !== 'ok')
}
