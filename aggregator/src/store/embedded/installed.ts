// SPDX-License-Identifier: Apache-2.0
import { createRequire } from 'node:module'
import { FlowdamError } from '@flowdam/common'

/** Its library is 540 MB, so a package of its own carries it; throws FD_STORE_NOT_INSTALLED where it is not there. */
export function requireEmbedded(): void {
  try {
    createRequire(import.meta.url).resolve('chdb')
  } catch (cause) {
    throw new FlowdamError('FD_STORE_NOT_INSTALLED', 'the embedded database (chdb) is not installed', {
      cause,
      remedy: 'install the package flowdam-embedded-store, or set store.engine to clickhouse',
    })
  }
}
