// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises'
import { StoreFailure } from './engine.js'

const AGAIN_MS = 200

/**
 * Runs a statement, and once `signal` is aborted has `kill` end it in the database, too. Settles when the statement has
 * ended, not before: whoever counts statements under way counts what the database really does. `kill` is called again
 * until then, because a statement may wait for its turn and be known to nobody yet.
 */
export async function cancellable<T>(
  signal: AbortSignal | undefined,
  run: () => Promise<T>,
  kill: (attempt: number) => Promise<unknown>,
): Promise<T> {
  if (!signal) return run()
  if (signal.aborted) throw notWanted()
  let ended = false
  const end = async () => {
    for (let attempt = 1; !ended; attempt++) {
      // A database that is not there ends the statement in its own way.
      await kill(attempt).catch(() => undefined)
      if (!ended) await sleep(AGAIN_MS)
    }
  }
  const onAbort = () => void end()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await run()
  } finally {
    ended = true
    signal.removeEventListener('abort', onAbort)
  }
}

export function notWanted(): StoreFailure {
  return new StoreFailure('retry', 'nobody waits for the answer any more')
}
