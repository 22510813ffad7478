// SPDX-License-Identifier: Apache-2.0
//
// A package may start a service when it is installed (gobgpd does where systemd runs). We want the program only.
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { output } from './run.mjs'

// Debian policy 9.3.3.1: invoke-rc.d asks this program, and 101 means "not allowed".
const POLICY = '/usr/sbin/policy-rc.d'

/** Calls `install` while no service may be started, and disables those of `services` that are new. */
export function withoutServices(services, install) {
  // An administrator's own policy stays as it is; the services are then stopped afterwards.
  const ours = !existsSync(POLICY)
  // With a listener, Ctrl-C ends apt but not us, so that the file does not stay behind.
  const ignore = () => {}
  process.on('SIGINT', ignore)
  try {
    if (ours) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
    install()
  } finally {
    if (ours) rmSync(POLICY, { force: true })
    process.off('SIGINT', ignore)
  }
  if (!existsSync('/run/systemd/system')) return
  for (const service of services) output('systemctl', ['disable', '--now', service])
}
