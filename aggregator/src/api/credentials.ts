// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs'
import { FlowdamError } from '@flowdam/common'
import { ServerCredentials } from '@grpc/grpc-js'
import type { AggregatorConfig } from '../config/schema.js'

/** TLS with client certificates where configured, else plaintext (config/check.ts keeps that on loopback). */
export function serverCredentials(tls: AggregatorConfig['tls']): ServerCredentials {
  if (!tls) return ServerCredentials.createInsecure()
  const read = (what: string, file: string): Buffer => {
    try {
      return readFileSync(file)
    } catch (cause) {
      throw new FlowdamError('FD_TLS_UNREADABLE', `cannot read tls.${what} ${file}`, { cause })
    }
  }
  return ServerCredentials.createSsl(
    read('ca', tls.ca),
    [{ private_key: read('key', tls.key), cert_chain: read('cert', tls.cert) }],
    true,
  )
}
