// SPDX-License-Identifier: Apache-2.0
import { createHash, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describeError, FlowdamError, type Logger } from '@flowdam/common'
import { type ChannelCredentials, credentials } from '@grpc/grpc-js'

export interface TlsFiles {
  /** PEM: who signs aggregators' certificates. */
  ca: string
  /** PEM: ours; its SAN names the agent's id. */
  cert: string
  key: string
}

/** What was made of the files. */
interface Made {
  credentials: ChannelCredentials
  digest: string
  cert: Buffer
}

/**
 * Certificates from files, read again for each connection, so that a rotation needs no restart. Files that do not fit
 * together, as half way through a rotation, leave the last good ones in use.
 */
export class TlsIdentity {
  readonly #files: TlsFiles
  readonly #log: Logger | undefined
  #good: Made | undefined
  #complaint = ''

  constructor(files: TlsFiles, log?: Logger) {
    this.#files = files
    this.#log = log
  }

  /** FD_TLS_FILE, FD_TLS_EXPIRED. */
  credentials(): ChannelCredentials {
    this.#renew()
    if (!this.#good) throw new FlowdamError('FD_TLS_FILE', 'there are no certificates')
    refuseExpired(this.#files.cert, this.#good.cert)
    return this.#good.credentials
  }

  /** Takes new files over, and says whether there were any. Those that are wrong are complained about, and left. */
  renew(): boolean {
    const before = this.#good?.digest
    this.#renew()
    return this.#good?.digest !== before
  }

  #renew(): void {
    try {
      const made = make(this.#files)
      if (made.digest !== this.#good?.digest) this.#good = made
      this.#complaint = ''
    } catch (error) {
      if (!this.#good) throw error
      const complaint = describeError(error)
      if (complaint !== this.#complaint)
        this.#log?.error({ reason: complaint }, 'the old certificates stay in use')
      this.#complaint = complaint
    }
  }
}

function make(files: TlsFiles): Made {
  const [ca, cert, key] = [read(files.ca), read(files.cert), read(files.key)]
  try {
    refuseExpired(files.cert, cert)
    return { credentials: credentials.createSsl(ca, key, cert), digest: digest([ca, cert, key]), cert }
  } catch (cause) {
    if (FlowdamError.is(cause)) throw cause
    throw new FlowdamError('FD_TLS_FILE', 'tls.ca, tls.cert and tls.key do not fit together', {
      cause,
      remedy: 'all three must be PEM files, and the key that of the certificate',
    })
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
