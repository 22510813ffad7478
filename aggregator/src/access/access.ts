// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path'
import type { Logger } from '@flowdam/common'
import type { AggregatorConfig } from '../config/schema.js'
import { AuditLog } from './audit.js'
import { FASTNETMON_CALLER } from './caller.js'
import { ApiCounts } from './counts.js'
import { Gate, type GateRules } from './gate.js'
import { TokenFile } from './tokens.js'

/** How long a watch may outlive what it was let in by, beside the time until the file of tokens is looked at. */
const RECHECK_MS = 1000

/** Who may use the API: tokens, the gate that asks for them, and the log of what they did. */
export class ApiAccess {
  readonly counts = new ApiCounts()
  readonly audit: AuditLog
  readonly gate: Gate
  /** Of the port for FastNetMon's clients. */
  readonly fastNetMonGate: Gate
  readonly #log: Logger
  #config: AggregatorConfig['api']
  #tokens: TokenFile | undefined
  #timer: NodeJS.Timeout | undefined

  constructor({ api, state }: Pick<AggregatorConfig, 'api' | 'state'>, log: Logger) {
    this.#log = log
    this.#config = api
    this.audit = new AuditLog({
      file: join(state, 'audit.jsonl'),
      maxBytes: api.audit.max,
      keep: api.audit.keep,
      log,
    })
    this.#tokens = api.tokens === undefined ? undefined : new TokenFile(api.tokens, log)
    const { audit, counts } = this
    this.gate = new Gate({ rules: this.#rules(), audit, counts, log })
    this.fastNetMonGate = new Gate({ rules: this.#fastNetMonRules(), audit, counts, log })
  }

  /** FD_TOKENS_UNREADABLE, FD_TOKENS_INVALID, FD_AUDIT_UNUSABLE. */
  start(): void {
    this.audit.start()
    this.#tokens?.start()
    this.#timer = setInterval(() => this.gate.recheck(), RECHECK_MS)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#tokens?.stop()
    this.audit.stop()
  }

  /** Other tokens, certificates and limits from now on. Throws as start() does, and then nothing has changed. */
  reload(api: AggregatorConfig['api']): void {
    if (api.tokens !== this.#config.tokens) {
      const fresh = api.tokens === undefined ? undefined : new TokenFile(api.tokens, this.#log)
      fresh?.start()
      this.#tokens?.stop()
      this.#tokens = fresh
    } else this.#tokens?.reload()
    this.#config = api
    this.gate.reconfigure(this.#rules())
    this.gate.recheck()
    this.fastNetMonGate.reconfigure(this.#fastNetMonRules())
  }

  #fastNetMonRules(): GateRules {
    return { ...this.#rules(), everybody: { by: FASTNETMON_CALLER, role: 'operate' } }
  }

  #rules(): GateRules {
    const { certificates, limits } = this.#config
    const tokens = this.#tokens
    return {
      findToken: tokens && ((presented) => tokens.find(presented)),
      certificates,
      limits: { callsPerSecond: limits.calls, burst: limits.burst, open: limits.open },
      maxMessageBytes: limits.message,
    }
  }
}
