// SPDX-License-Identifier: Apache-2.0
//
// npm packages: compares what is in node_modules with the lock file, by content (a checkout changes file times).
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, run } from './run.mjs'

export function installNodeModules(announce) {
  const missing = missingPackages()
  if (missing.length === 0) return 'all there'
  announce(
    `npm install, for ${missing.slice(0, 3).join(', ')}${missing.length > 3 ? ' and others' : ''} (about a minute)`,
  )
  // Not `npm ci`: it refuses a lock file that lacks other platforms' optional packages, which a registry mirror may
  // not carry. Versions come from the lock file all the same, and --no-save leaves it as it is.
  run('npm', ['install', '--no-save', '--no-audit', '--no-fund'])
  return 'installed'
}

function missingPackages() {
  const wanted = packagesOf('package-lock.json') ?? {}
  const present = packagesOf(join('node_modules', '.package-lock.json')) ?? {}
  return Object.keys(wanted).filter((path) => {
    if (!path.startsWith('node_modules/')) return false
    const { version, optional, link } = wanted[path]
    const found = present[path]
    // Optional ones are for other platforms, most of them.
    if (!found) return !optional
    return !link && found.version !== version
  })
}

function packagesOf(lockFile) {
  try {
    return JSON.parse(readFileSync(join(ROOT, lockFile), 'utf8')).packages
  } catch {
    return undefined
  }
}
