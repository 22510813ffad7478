// SPDX-License-Identifier: Apache-2.0
import { createHash, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { FlowdamError } from '@flowdam/common'
import { type ChannelCredentials, credentials } from '@grpc/grpc-js'

export interface TlsFiles {
  /** PEM: who signs aggregators' certificates. */
  ca: string
  /** PEM: ours; its SAN names the agent's id. */
  cert: string
  key: string
}

/** Certificates from files, read again for each connection, so that a rotation needs no restart. */
export class TlsIdentity {
  readonly #files: TlsFiles
  #digest = ''

  constructor(files: TlsFiles) {
    this.#files = files
  }

  /** FD_TLS_FILE. */
  credentials(): ChannelCredentials {
    const { ca, cert, key } = this.#read()
    this.#digest = digest([ca, cert, key])
    try {
      refuseExpired(this.#files.cert, cert)
      return credentials.createSsl(ca, key, cert)
    } catch (cause) {
      if (FlowdamError.is(cause)) throw cause
      throw new FlowdamError('FD_TLS_FILE', 'tls.ca, tls.cert and tls.key do not fit together', {
        cause,
        remedy: 'all three must be PEM files, and the key that of the certificate',
      })
    }
  }

  /** Whether the files are other ones than those of the last connection. FD_TLS_FILE. */
  get changed(): boolean {
    const { ca, cert, key } = this.#read()
    return digest([ca, cert, key]) !== this.#digest
  }

  #read() {
    const { ca, cert, key } = this.#files
    return { ca: read(ca), cert: read(cert), key: read(key) }
  }
}

/** The other side would only say "no"; we know why. */
function refuseExpired(file: string, pem: Buffer): void {
  const until = new X509Certificate(pem).validTo
  if (Date.parse(until) > Date.now()) return
  throw new FlowdamError('FD_TLS_EXPIRED', `our certificate ${file} has expired on ${until}`, {
    remedy: 'put a new one there; it is read again with the next attempt',
  })
}

function read(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (cause) {
    throw new FlowdamError('FD_TLS_FILE', `cannot read ${file}`, { cause })
  }
}

function digest(parts: readonly Buffer[]): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(`${part.length} `).update(part)
  return hash.digest('hex')
}
