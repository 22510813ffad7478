// SPDX-License-Identifier: Apache-2.0
//
// The launcher's own process; see launcher.ts. It imports nothing that makes it large.
import type { LaunchReport, LaunchRequest } from './launcher.js'
import { runHook } from './process.js'

let running = 0
let orphaned = false

function report(message: LaunchReport): void {
  // The parent may be gone; the hook has done its work all the same.
  if (process.connected) process.send?.(message, undefined, undefined, () => {})
}

process.on('message', ({ id, command }: LaunchRequest) => {
  running++
  runHook(command, () => report({ id, started: true })).then((outcome) => {
    report({ id, outcome })
    running--
    if (orphaned && running === 0) process.exit(0)
  })
})

// Signals to the whole group (Ctrl-C, a service manager) are the parent's to answer: hooks may still have to run.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
process.on('disconnect', () => {
  orphaned = true
  if (running === 0) process.exit(0)
})
