// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from 'node:timers/promises'

const POLL_MS = 50
/** Far beyond what anything takes on a machine that is busy with other things. */
const LIMIT_MS = 120_000

/**
 * Asks again and again until the answer is neither undefined nor false. Conditions are awaited, never slept for; the limit only ends
 * what would hang, with a message that says what was waited for.
 */
export async function waitFor<T>(
  what: string,
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  limitMs = LIMIT_MS,
  pollMs = POLL_MS,
): Promise<T> {
  const end = performance.now() + limitMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined && answer !== false) return answer
    if (performance.now() > end) throw new Error(`waited ${limitMs / 1000} s in vain for ${what}`)
    await delay(pollMs)
  }
}
