// SPDX-License-Identifier: Apache-2.0
import { createHash, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Http2SecureServer } from 'node:http2'
import { createSecureContext, type TLSSocket } from 'node:tls'
import { describeError, FlowdamError, type Logger } from '@flowdam/common'
import { ServerCredentials } from '@grpc/grpc-js'
import type { DropCounter } from '../drops.js'

export interface TlsFiles {
  /** PEM: who signs the certificates of agents and API clients; without it nobody is asked for one. */
  ca?: string | undefined
  cert: string
  key: string
}

export interface ServerTlsOptions {
  files: TlsFiles
  drops: DropCounter
  log: Logger
  /** How often the files are looked at, milliseconds; default 10 s. */
  lookEveryMs?: number
}

const LOOK_EVERY_MS = 10_000
/** The same reason is logged this often: a port scanner must not fill the log. Each failure is counted. */
const LOG_EVERY_MS = 1000
/** OpenSSL has more codes than anybody meets. */
const MOST_CODES = 64

/** What OpenSSL's verification codes mean to whoever has to act. */
const MEANINGS: Readonly<Record<string, string>> = {
  UNABLE_TO_GET_ISSUER_CERT: 'it is not signed by the authority in tls.ca',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'it is not signed by the authority in tls.ca',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'it is not signed by the authority in tls.ca',
  SELF_SIGNED_CERT_IN_CHAIN: 'it is not signed by the authority in tls.ca',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it is not signed by the authority in tls.ca',
  CERT_SIGNATURE_FAILURE: 'it is not signed by the authority in tls.ca',
  CERT_HAS_EXPIRED: 'it has expired',
  CERT_NOT_YET_VALID: 'it is not valid yet; compare the clocks',
  INVALID_PURPOSE: 'it may not be used by clients',
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: 'the client has none; give it one (tls.cert, --cert)',
  ERR_TLS_HANDSHAKE_TIMEOUT: 'the client did not finish its handshake in time',
  ERR_SSL_HTTP_REQUEST: 'the client does not speak TLS',
  ERR_SSL_WRONG_VERSION_NUMBER: 'the client does not speak TLS; configure tls there',
  // Node's TLS clients say no by hanging up.
  ECONNRESET: 'the client hung up in the handshake; does it accept our certificate? Its log says why',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: 'the client does not know the authority of our certificate',
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: 'the client says that our certificate has expired',
}

interface Pems {
  ca: Buffer | undefined
  cert: Buffer
  key: Buffer
}

/** The gRPC port's certificates: clients must show one of our authority; files may change while we run. */
export class ServerTls {
  /** Times that new certificates were taken over. */
  rotations = 0
  readonly #options: ServerTlsOptions
  #servers: Http2SecureServer[] = []
  #digest = ''
  #timer: NodeJS.Timeout | undefined
  /** By code: when it was logged last. */
  readonly #loggedAt = new Map<string, number>()
  #complaint = ''

  constructor(options: ServerTlsOptions) {
    this.#options = options
  }

  /** FD_TLS_UNREADABLE, FD_TLS_INVALID. */
  credentials(): ServerCredentials {
    const { ca, cert, key } = this.#read()
    this.#digest = digestOf({ ca, cert, key })
    return ServerCredentials.createSsl(ca ?? null, [{ private_key: key, cert_chain: cert }], ca !== undefined)
  }

  /** After the bind: from here on failures are counted and files are watched. */
  watch(servers: readonly Http2SecureServer[]): void {
    this.#servers = [...servers]
    for (const server of servers) {
      server.on('tlsClientError', (error: NodeJS.ErrnoException, socket: TLSSocket) =>
        this.#refused(error, socket),
      )
    }
    this.#timer = setInterval(() => this.reload(), this.#options.lookEveryMs ?? LOOK_EVERY_MS)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#servers = []
  }

  /** Takes over new files for connections to come; those that are wrong leave the old ones in force. */
  reload(): void {
    const { log } = this.#options
    try {
      const pems = this.#read()
      const now = digestOf(pems)
      this.#complaint = ''
      if (now === this.#digest) return
      for (const server of this.#servers) server.setSecureContext(pems)
      this.#digest = now
      this.rotations++
      log.info({ validTo: new X509Certificate(pems.cert).validTo }, 'new certificates')
    } catch (error) {
      const complaint = describeError(error)
      if (complaint !== this.#complaint)
        log.error({ reason: complaint }, 'the old certificates stay in force')
      this.#complaint = complaint
    }
  }

  #read(): Pems {
    const { files, log } = this.#options
    const pems = {
      ca: files.ca === undefined ? undefined : read('ca', files.ca),
      cert: read('cert', files.cert),
      key: read('key', files.key),
    }
    try {
      createSecureContext(pems)
      const { validTo } = new X509Certificate(pems.cert)
      if (Date.parse(validTo) < Date.now()) {
        log.error(
          { cert: files.cert, validTo },
          'FD_TLS_EXPIRED: our certificate has expired; agents refuse it',
        )
      }
    } catch (cause) {
      throw new FlowdamError('FD_TLS_INVALID', 'tls.ca, tls.cert and tls.key do not fit together', {
        cause,
        remedy: 'all three must be PEM files, and the key that of the certificate',
      })
    }
    return pems
  }

  #refused(error: NodeJS.ErrnoException, socket: TLSSocket): void {
    const { drops, log } = this.#options
    // Node tears the connection down without saying why; the socket remembers.
    const code = String(socket.authorizationError ?? error.code ?? error.message)
    drops.add('ingest', 'certificate', 1)
    const now = performance.now()
    if (now - (this.#loggedAt.get(code) ?? Number.NEGATIVE_INFINITY) < LOG_EVERY_MS) return
    if (this.#loggedAt.size >= MOST_CODES) this.#loggedAt.clear()
    this.#loggedAt.set(code, now)
    const line = { peer: socket.remoteAddress, code, reason: MEANINGS[code] ?? error.message }
    log.warn(line, 'FD_TLS_REFUSED: no TLS connection with a client')
  }
}

function read(what: keyof TlsFiles, file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (cause) {
    throw new FlowdamError('FD_TLS_UNREADABLE', `cannot read tls.${what} ${file}`, { cause })
  }
}

function digestOf({ ca, cert, key }: Pems): string {
  const hash = createHash('sha256')
  for (const part of [ca ?? Buffer.alloc(0), cert, key]) hash.update(`${part.length} `).update(part)
  return hash.digest('hex')
}
