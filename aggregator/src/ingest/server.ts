// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '@flowdam/common'
import {
  type Config,
  type IngestServiceServer,
  IngestServiceService,
  type Ledger,
  LedgerTotals,
  type Rules,
  StreamRequest,
} from '@flowdam/proto'
import { status } from '@grpc/grpc-js'
import type { AgentInfo, BatchSink, DeltaSink } from '../contracts.js'
import type { DropCounter } from '../drops.js'
import type { SourceRegistry } from '../sources/registry.js'
import { Agent } from './agent.js'
import { windowBytes } from './backpressure.js'
import { LogLimit } from './log-limit.js'
import { Refusal } from './refusal.js'
import { AgentStream, type StreamHost, Unreadable } from './stream.js'

/** Agents, ever; a hostile client could name more. */
const MAX_AGENTS = 4096

export interface IngestOptions {
  deltas: DeltaSink
  batches: BatchSink
  sources: SourceRegistry
  drops: DropCounter
  log: Logger
  /** What agents are told at Welcome. */
  config: Config
  /** An agent's id must be in its certificate. */
  certificates?: boolean
}

/** The agents' side of the aggregator: their streams, who they are, what they lost. */
export class IngestServer {
  readonly #options: IngestOptions
  readonly #agents = new Map<string, Agent>()
  readonly #streams = new Map<Agent, AgentStream>()
  readonly #open = new Set<AgentStream>()
  readonly #ledger: LedgerTotals = LedgerTotals.create()
  readonly #host: StreamHost
  #config: Config
  #rules: Rules | undefined
  #windowBytes: number
  #running = false

  constructor(options: IngestOptions) {
    this.#options = options
    this.#config = options.config
    this.#windowBytes = windowBytes(options.batches.queueBytes, 1)
    const server = this
    this.#host = {
      ...options,
      get config() {
        return server.#config
      },
      get rules() {
        return server.#rules
      },
      get windowBytes() {
        return server.#windowBytes
      },
      claim: (agentId, stream) => this.#claim(agentId, stream),
      logLimit: new LogLimit(),
      release: (agent, stream) => this.#release(agent, stream),
      addLedgers: (ledgers) => this.#addLedgers(ledgers),
    }
  }

  /**
   * The definition to add to the gRPC server. What protobuf cannot read is the stream's to refuse: grpc-js would send
   * its status past what is still being written, and may then never end the stream.
   */
  get definition(): typeof IngestServiceService {
    const requestDeserialize = (bytes: Buffer): StreamRequest => {
      try {
        return StreamRequest.decode(bytes)
      } catch {
        return new Unreadable(bytes)
      }
    }
    return { ...IngestServiceService, stream: { ...IngestServiceService.stream, requestDeserialize } }
  }

  get service(): IngestServiceServer {
    return {
      stream: (call) => {
        const stream = new AgentStream(call, this.#host)
        if (!this.#running) return stream.close(new Refusal(status.UNAVAILABLE, 'FD_STOPPING: not running'))
        this.#open.add(stream)
        call.once('close', () => this.#open.delete(stream))
        stream.run()
      },
    }
  }

  start(): void {
    this.#running = true
  }

  /** Closes all streams; agents connect again, to this or another aggregator. */
  stop(): void {
    this.#running = false
    for (const stream of this.#open) {
      stream.close(new Refusal(status.UNAVAILABLE, 'FD_STOPPING: the aggregator stops'))
    }
    this.#open.clear()
  }

  /** Replaces what agents are told, now and at Welcome. */
  setConfig(config: Config): void {
    this.#config = config
    for (const stream of this.#streams.values()) stream.sendConfig(config)
  }

  /** Replaces the drop rules of all agents. */
  setRules(rules: Rules): void {
    this.#rules = rules
    for (const stream of this.#streams.values()) stream.sendRules(rules)
  }

  /** Every agent since the start. */
  agents(): AgentInfo[] {
    return [...this.#agents.values()]
  }

  /** Our clock was set: the skews measured before say nothing any more. */
  clockStepped(): void {
    for (const agent of this.#agents.values()) agent.skew.reset()
  }

  get connected(): number {
    return this.#streams.size
  }

  /** Sum of the agents' ledgers since the start. */
  ledger(): LedgerTotals {
    return { ...this.#ledger }
  }

  #claim(agentId: string, stream: AgentStream): Agent {
    let agent = this.#agents.get(agentId)
    if (!agent) {
      if (this.#agents.size >= MAX_AGENTS) {
        throw new Refusal(
          status.RESOURCE_EXHAUSTED,
          `FD_AGENTS: more than ${MAX_AGENTS} agents`,
          'too_many_agents',
        )
      }
      agent = new Agent(agentId, this.#options.sources)
      this.#agents.set(agentId, agent)
    }
    const before = this.#streams.get(agent)
    this.#streams.set(agent, stream)
    this.#shareQueue()
    if (before) agent.replacedStreams++
    before?.close(new Refusal(status.ABORTED, `FD_REPLACED: another stream of agent ${agentId} took over`))
    return agent
  }

  #release(agent: Agent, stream: AgentStream): boolean {
    const released = this.#streams.get(agent) === stream && this.#streams.delete(agent)
    if (released) this.#shareQueue()
    return released
  }

  /** More agents, smaller windows. */
  #shareQueue(): void {
    const bytes = windowBytes(this.#options.batches.queueBytes, this.#streams.size)
    if (bytes === this.#windowBytes) return
    this.#windowBytes = bytes
    for (const stream of this.#streams.values()) stream.sendWindow(bytes)
  }

  #addLedgers(ledgers: Ledger[]): void {
    for (const ledger of ledgers) {
      for (const key of Object.keys(this.#ledger) as (keyof LedgerTotals)[]) this.#ledger[key] += ledger[key]
    }
  }
}
