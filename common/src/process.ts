// SPDX-License-Identifier: Apache-2.0

/** The version of this build; all workspaces carry the same. */
export const VERSION = '0.1.0'

/**
 * Runs `stop` once at SIGTERM or SIGINT and exits 0 after it, 1 if it failed. A second signal exits at once, so that
 * a person is never stuck with a process that does not end.
 */
export function onShutdown(stop: (signal: NodeJS.Signals) => Promise<void>): void {
  let stopping = false
  const handle = (signal: NodeJS.Signals) => {
    if (stopping) process.exit(130)
    stopping = true
    stop(signal).then(
      () => process.exit(0),
      (error) => {
        process.stderr.write(`stop failed: ${error instanceof Error ? error.stack : String(error)}\n`)
        process.exit(1)
      },
    )
  }
  process.on('SIGTERM', handle)
  process.on('SIGINT', handle)
}
