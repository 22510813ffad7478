// SPDX-License-Identifier: Apache-2.0
import { FlowdamError, formatDuration, type Logger } from '@flowdam/common'
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  type ServiceDefinition,
  status,
} from '@grpc/grpc-js'
import { RetryError } from '../api/errors.js'
import { statusError } from '../api/status-error.js'
import type { AuditLog } from './audit.js'
import { type Caller, hostOf, type IdentityRules, identify, setCaller } from './caller.js'
import type { ApiCounts, RefusalReason } from './counts.js'
import { type ApiLimits, CallLimits } from './limits.js'
import { type Access, accessOf, mayDo, type Role } from './roles.js'

export interface GateRules extends IdentityRules {
  limits: ApiLimits
  /** Longest request, bytes. */
  maxMessageBytes: number
}

export interface GateOptions {
  rules: GateRules
  audit: AuditLog
  counts: ApiCounts
  log: Logger
}

/** In place of a request that is none, so that its refusal takes the same way as every other. */
class BadMessage {
  readonly reason: RefusalReason
  readonly error: FlowdamError

  constructor(reason: RefusalReason, error: FlowdamError) {
    this.reason = reason
    this.error = error
  }
}

/** A watcher that reads too slowly must not hold a request's memory; how long before the same is worth trying again. */
const RETRY_OPEN_MS = 1000

/**
 * Between the network and the services: who calls, whether they may, how often, and what the audit log says of it. A
 * call is refused before its request is read.
 */
export class Gate {
  readonly #options: GateOptions
  readonly #limits: CallLimits
  #rules: GateRules
  readonly #open = new Set<GatedCall>()

  constructor(options: GateOptions) {
    this.#options = options
    this.#rules = options.rules
    this.#limits = new CallLimits(options.rules.limits)
  }

  reconfigure(rules: GateRules): void {
    this.#rules = rules
    this.#limits.reconfigure(rules.limits)
  }

  /** Ends what those have open who would not be let in now. A watch would otherwise outlive its token. */
  recheck(): void {
    for (const call of this.#open) call.recheck(this.#rules)
  }

  /** The service with requests read so that those that are too large or no protobuf reach the gate. */
  guarded<S extends ServiceDefinition>(service: S): S {
    const entries = Object.entries(service).map(([name, method]) => [
      name,
      { ...method, requestDeserialize: (bytes: Buffer) => this.#read(bytes, method.requestDeserialize) },
    ])
    return Object.fromEntries(entries) as S
  }

  readonly interceptor: ServerInterceptor = (method, call) => {
    const access = accessOf(method.path)
    // Agents have no token: their certificates are looked at where their streams begin.
    if (access?.role === 'agent') return new ServerInterceptingCall(call)
    const gated = new GatedCall(method.path, access, call, this.#options, this.#limits, this.#rules, () =>
      this.#open.delete(gated),
    )
    this.#open.add(gated)
    return gated.intercepting
  }

  #read(bytes: Buffer, decode: (bytes: Buffer) => unknown): unknown {
    const most = this.#rules.maxMessageBytes
    if (bytes.length > most) {
      const error = new FlowdamError(
        'FD_API_MESSAGE_SIZE',
        `the request has ${bytes.length} bytes; api.limits.message is ${most}`,
      )
      return new BadMessage('message_size', error)
    }
    try {
      return decode(bytes)
    } catch {
      const error = new FlowdamError('FD_API_MALFORMED', 'the request is no message of this method', {
        remedy: 'is the client made from the protos of this version?',
      })
      return new BadMessage('malformed', error)
    }
  }
}

/** One call on its way in and its status on the way out. */
class GatedCall {
  readonly intercepting: ServerInterceptingCall
  readonly #path: string
  readonly #access: Access | undefined
  readonly #call: ServerInterceptingCallInterface
  readonly #options: GateOptions
  readonly #limits: CallLimits
  readonly #rules: GateRules
  #caller: Caller | undefined
  #request: unknown
  #openAs: string | undefined
  #metadata: Metadata | undefined
  readonly #onEnd: () => void
  #ended = false

  constructor(
    path: string,
    access: Access | undefined,
    call: ServerInterceptingCallInterface,
    options: GateOptions,
    limits: CallLimits,
    rules: GateRules,
    onEnd: () => void,
  ) {
    this.#onEnd = onEnd
    this.#path = path
    this.#access = access
    this.#call = call
    this.#options = options
    this.#limits = limits
    this.#rules = rules
    this.intercepting = new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, forward) => {
            if (this.#admit(metadata)) forward(metadata)
          },
          onReceiveMessage: (message, forward) => {
            if (message instanceof BadMessage) return this.#refuse(message.reason, message.error)
            this.#request = message
            forward(message)
          },
          onCancel: () => this.#end(this.#unanswered(), ''),
        }),
      sendStatus: (answer, next) => {
        const code = answer.code ?? status.UNKNOWN
        this.#end(status[code] ?? String(code), answer.details ?? '')
        next(answer)
      },
    })
  }

  /** By the rules of now. */
  recheck(rules: GateRules): void {
    const access = this.#access
    if (!this.#metadata || !access || access.role === 'open' || access.role === 'agent') return
    try {
      const { role } = identify(this.#metadata, this.#call.getAuthContext(), this.#call.getPeer(), rules)
      if (!mayDo(role, access.role)) this.#refuse('role', this.#roleError(role))
    } catch (error) {
      this.#refuse('unauthenticated', error)
    }
  }

  #roleError(has: Role): FlowdamError {
    const needed = this.#access ? `the role '${this.#access.role}'` : 'a role that nobody has'
    return new FlowdamError(
      'FD_API_ROLE',
      `${this.#method} needs ${needed}; ${this.#caller?.by} has '${has}'`,
    )
  }

  #admit(metadata: Metadata): boolean {
    const peer = this.#call.getPeer()
    const from = `peer:${hostOf(peer)}`
    const access = this.#access
    if (access?.role === 'open') return this.#mayBegin(from)
    let caller: Caller
    try {
      caller = identify(metadata, this.#call.getAuthContext(), peer, this.#rules)
    } catch (error) {
      // Whoever guesses does it slowly, and fills no log.
      if (this.#mayBegin(from)) this.#refuse('unauthenticated', error)
      return false
    }
    this.#caller = caller
    if (!this.#mayBegin(caller.by)) return false
    if (!access || access.role === 'agent' || !mayDo(caller.role, access.role)) {
      this.#refuse('role', this.#roleError(caller.role))
      return false
    }
    this.#metadata = metadata
    setCaller(metadata, caller)
    return true
  }

  /** Charges the caller for one call; refuses when there is nothing left. */
  #mayBegin(key: string): boolean {
    const waitMs = this.#limits.begin(key)
    if (waitMs > 0) {
      const { callsPerSecond } = this.#rules.limits
      const message = `more than ${callsPerSecond} calls a second; try again in ${formatDuration(waitMs)}`
      this.#refuse('rate', new RetryError('FD_API_RATE', message, waitMs))
      return false
    }
    if (!this.#limits.open(key)) {
      const message = `more than ${this.#rules.limits.open} calls and watches open at the same time`
      this.#refuse('open_calls', new RetryError('FD_API_OPEN_CALLS', message, RETRY_OPEN_MS))
      return false
    }
    this.#openAs = key
    this.#options.counts.open++
    return true
  }

  get #method(): string {
    return this.#path.slice(1)
  }

  #refuse(reason: RefusalReason, error: unknown): void {
    const { counts, log } = this.#options
    counts.refuse(reason)
    const answer = statusError(error, log)
    this.#record(status[answer.code] ?? '', answer.details, true)
    this.#finish(status[answer.code] ?? '')
    this.#call.sendStatus(answer)
  }

  /** The caller went away, its deadline passed, or grpc-js itself refused the message. */
  #unanswered(): string {
    return Number(this.#call.getDeadline()) <= Date.now() ? 'DEADLINE_EXCEEDED' : 'CANCELLED'
  }

  #end(code: string, details: string): void {
    if (this.#ended) return
    if (this.#access?.change === true) this.#record(code, code === 'OK' ? '' : details, false)
    this.#finish(code)
  }

  #finish(code: string): void {
    if (this.#ended) return
    this.#ended = true
    this.#onEnd()
    const { counts } = this.#options
    counts.call(this.#method, code)
    if (this.#openAs === undefined) return
    this.#limits.close(this.#openAs)
    counts.open--
  }

  #record(code: string, error: string, refused: boolean): void {
    const { audit } = this.#options
    const entry = {
      by: this.#caller?.by ?? 'unknown',
      peer: this.#call.getPeer(),
      method: this.#method,
      request: this.#request,
      status: code,
      error,
    }
    if (refused) audit.refusal(entry)
    else audit.record(entry)
  }
}
