// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { FlowdamError } from '@flowdam/common'

/** Where aggregator/native is: built in the workspace, or shipped with the package. */
const FAILSTOP = ['../../../../build/flowdam-failstop.so', '../../../native/flowdam-failstop.so'].map(
  (path) => fileURLToPath(new URL(path, import.meta.url)),
)

/** What ends the database's process when it cannot write; without it chdb confirms what is not on the disk. */
export function failstopLibrary(): string | undefined {
  return FAILSTOP.find((path) => existsSync(path))
}

/**
 * Its library is 540 MB, so a package of its own carries it; throws FD_STORE_NOT_INSTALLED where it is not there. The
 * library is an optional dependency of chdb: npm goes on without a word where it cannot fetch it.
 */
export function requireEmbedded(library = `@chdb/lib-${process.platform}-${process.arch}-gnu`): void {
  const remedy = 'install the package flowdam-embedded-store, or set store.engine to clickhouse'
  const chdb = resolved(createRequire(import.meta.url), 'chdb')
  if (chdb === undefined) {
    throw new FlowdamError('FD_STORE_NOT_INSTALLED', 'the embedded database (chdb) is not installed', {
      remedy,
    })
  }
  if (resolved(createRequire(chdb), library) === undefined) {
    throw new FlowdamError(
      'FD_STORE_NOT_INSTALLED',
      `the embedded database (chdb) lacks its library for this machine, ${library}`,
      { remedy: 'set store.engine to clickhouse, or install that npm package where there is one' },
    )
  }
  if (failstopLibrary() === undefined) {
    throw new FlowdamError('FD_STORE_NOT_INSTALLED', `${FAILSTOP[0]} is missing`, {
      remedy: `${remedy}; in a checkout: npm run build:native`,
    })
  }
}

function resolved(require: NodeJS.Require, name: string): string | undefined {
  try {
    return require.resolve(name)
  } catch {
    return undefined
  }
}
