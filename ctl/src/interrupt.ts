// SPDX-License-Identifier: Apache-2.0

/**
 * Runs `watch` until it ends or SIGINT or SIGTERM asks for the end. That is how a watch is meant to end, so it is no
 * error; a second signal ends the process at once.
 */
export async function untilInterrupted(watch: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const controller = new AbortController()
  const stop = () => {
    if (controller.signal.aborted) process.exit(130)
    controller.abort()
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  try {
    await watch(controller.signal)
  } finally {
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
  }
}
