// SPDX-License-Identifier: Apache-2.0
//
// The file of bearer tokens: a line for each, `NAME ROLE sha256:HEX [until=DATE]`. It holds hashes only. A token of
// `flowdam token create` has 256 random bits, so one round of SHA-256 is enough: there is nothing to guess.
import { createHash, timingSafeEqual } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { describeError, FlowdamError, type Logger } from '@flowdam/common'
import { ROLES, type Role } from './roles.js'

export interface Token {
  name: string
  role: Role
  hash: Buffer
  /** Milliseconds since 1970; Infinity for no end. */
  untilUnixMs: number
}

const LINE =
  /^(?<name>[A-Za-z0-9._@-]{1,64})\s+(?<role>\S+)\s+sha256:(?<hash>[0-9a-fA-F]{64})(?:\s+until=(?<until>\S+))?$/
const WORLD_WRITABLE = 0o002
const LOOK_EVERY_MS = 5000

export function hashToken(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

/** FD_TOKENS_INVALID with the place of what is wrong. Never quotes a line: somebody may have put a token into it. */
export function parseTokens(file: string, text: string): Token[] {
  const tokens: Token[] = []
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.replace(/#.*/, '').trim()
    if (line === '') continue
    const wrong = (what: string) =>
      new FlowdamError('FD_TOKENS_INVALID', `${file}:${index + 1}: ${what}`, {
        remedy: "a line is 'NAME ROLE sha256:HASH [until=2027-01-31]'; 'flowdam token create' prints one",
      })
    const { name = '', role = '', hash = '', until } = LINE.exec(line)?.groups ?? {}
    if (name === '') throw wrong('this is no token')
    if (!ROLES.includes(role as Role)) throw wrong(`a role is ${ROLES.join(', ')}`)
    if (tokens.some((token) => token.name === name)) throw wrong(`'${name}' is there twice`)
    const untilUnixMs = until === undefined ? Number.POSITIVE_INFINITY : Date.parse(until)
    if (Number.isNaN(untilUnixMs)) throw wrong('until= is no date such as 2027-01-31')
    const bytes = Buffer.from(hash, 'hex')
    // Whoever shows it would be one of two, and perhaps the one with the greater role.
    const same = tokens.find((token) => token.hash.equals(bytes))
    if (same) throw wrong(`'${name}' has the same hash as '${same.name}'; each name needs a token of its own`)
    tokens.push({ name, role: role as Role, hash: bytes, untilUnixMs })
  }
  return tokens
}

/** The token file in memory; it may change while we run, and a wrong one leaves the old one in force. */
export class TokenFile {
  readonly #file: string
  readonly #log: Logger
  #tokens: readonly Token[] = []
  #stamp = ''
  #complaint = ''
  #timer: NodeJS.Timeout | undefined

  constructor(file: string, log: Logger) {
    this.#file = file
    this.#log = log
  }

  /** FD_TOKENS_UNREADABLE, FD_TOKENS_INVALID. */
  start(lookEveryMs = LOOK_EVERY_MS): void {
    this.#read()
    this.#timer = setInterval(() => this.reload(), lookEveryMs)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  reload(): void {
    try {
      this.#read()
      this.#complaint = ''
    } catch (error) {
      const complaint = describeError(error)
      if (complaint !== this.#complaint)
        this.#log.error({ reason: complaint }, 'the old tokens stay in force')
      this.#complaint = complaint
    }
  }

  get size(): number {
    return this.#tokens.length
  }

  /** The one that was presented, expired or not. Looks at every one, however early it matches. */
  find(presented: string): Token | undefined {
    const hash = hashToken(presented)
    let found: Token | undefined
    for (const token of this.#tokens) if (timingSafeEqual(token.hash, hash)) found = token
    return found
  }

  #read(): void {
    let text: string
    let stamp: string
    try {
      const { mtimeMs, ino, size, mode } = statSync(this.#file)
      if ((mode & WORLD_WRITABLE) !== 0) {
        throw new FlowdamError('FD_TOKENS_INVALID', `${this.#file} can be written by everybody`, {
          remedy: `chmod o-w ${this.#file}`,
        })
      }
      stamp = `${mtimeMs} ${ino} ${size}`
      if (stamp === this.#stamp) return
      text = readFileSync(this.#file, 'utf8')
    } catch (cause) {
      if (FlowdamError.is(cause)) throw cause
      throw new FlowdamError('FD_TOKENS_UNREADABLE', `cannot read api.tokens ${this.#file}`, { cause })
    }
    const tokens = parseTokens(this.#file, text)
    this.#stamp = stamp
    this.#tokens = tokens
    this.#log.info({ tokens: tokens.map(({ name, role }) => `${name} (${role})`) }, 'API tokens read')
  }
}
