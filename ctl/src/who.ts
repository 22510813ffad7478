// SPDX-License-Identifier: Apache-2.0
import { hostname, userInfo } from 'node:os'

/** The person behind sudo, and the machine: `alice@edge1`. Kept in a ban's history. */
export function whoAmI(env: NodeJS.ProcessEnv): string {
  return `${env['SUDO_USER'] || env['USER'] || accountName()}@${hostname()}`
}

function accountName(): string {
  try {
    return userInfo().username
  } catch {
    // An account without an entry in the password database, as in many containers.
    return `uid ${process.getuid?.() ?? 'unknown'}`
  }
}
