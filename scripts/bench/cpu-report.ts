// SPDX-License-Identifier: Apache-2.0

/** Prints this process's CPU seconds for each line on stdin; ends with it. */
export function readCommands(onEnd: () => void = () => {}): void {
  process.stdin.on('data', () => {
    const { user, system } = process.cpuUsage()
    process.stdout.write(`${JSON.stringify({ cpuSeconds: (user + system) / 1e6 })}\n`)
  })
  process.stdin.on('end', () => {
    onEnd()
    process.exit(0)
  })
}
