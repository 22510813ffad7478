// SPDX-License-Identifier: Apache-2.0
//
// Where the data's way (ingest, spool, store) meets the decision's way (detector, bans, API). Both sides import
// from here and not from each other; app.ts puts them together:
//
//   drops, flows = new DropCounter(), newFlowCounters()
//   sources = new SourceRegistry(directory)                                          sources/registry.js
//   spool   = new Spool({ ...spoolOptions(config.store), beforeCommit, drops, flows, log })        spool/spool.js, store/config.js
//   store   = new Store({ config: config.store, spool, sources, drops, flows, log }) store/store.js
//   queries = new FlowQueries(store, turns), new TalkerQueries(store, turns)         flows/queries.js, flows/talkers.js
//   ingest  = new IngestServer({ deltas, batches: spool, sources, drops, log, config: { networks, exemptRemote } })
//                                                                                    ingest/server.js
//   grpc    = new GrpcEndpoint({ listen: config.listen.grpc, drops, log })                  ingest/endpoint.js
//   grpc.add(ingest.definition, ingest.service), grpc.add(StatusServiceService, …), …
//
// Constructors do nothing. start() in this order, stop() in the reverse. `config.store` is zStore of store/config.js.
// For the API: store.status() is a StoreStatus, ingest.agents() a list of AgentInfo, ingest.ledger() LedgerTotals,
// drops.snapshot(), flows; queries.query(request) answers QueryFlows. On reload: ingest.setConfig(); for drop rules
// in the kernel: ingest.setRules().
import type { FlowBatch, Heartbeat, HostDeltas, InterfaceTable } from '@flowdam/proto'

/** What ingest knows of an agent; one object per agent id for the daemon's life, updated in place. */
export interface AgentInfo {
  readonly id: string
  connected: boolean
  /** boot_id of the last Hello. */
  bootId: number
  version: string
  hostname: string
  kernel: string
  interfaces: InterfaceTable
  /** Our clock, milliseconds since 1970; 0 before the first message. */
  lastSeenUnixMs: number
  /** The agent's clock minus ours, milliseconds; the least seen lately, so that queueing does not count. */
  clockSkewMs: number
  /** The last Heartbeat, if one came. */
  heartbeat: Heartbeat | undefined
  /** Batches that never came, by the gaps in seq. */
  gapBatches: number
  /** Batches that another aggregator acknowledged. */
  elsewhereBatches: number
  /** Streams that another one of the same agent took over: after a dead path, or when two agents have one id. */
  replacedStreams: number
}

export type AgentEvent = 'connected' | 'disconnected' | 'interfaces' | 'heartbeat'

/** The detector's side of ingest. Called synchronously, before any flow of the same moment is handled; must not throw. */
export interface DeltaSink {
  /** `deltas.entries` may be kept: nobody writes to it afterwards. `receivedAtMs` is our clock, since 1970. */
  onHostDeltas(agentId: string, deltas: HostDeltas, receivedAtMs: number): void
  onAgentState(agent: AgentInfo, event: AgentEvent): void
}

/** The writer's side of ingest. */
export interface BatchSink {
  /**
   * Takes the batch over (its records are changed in place) and resolves when it is durable as configured.
   * Calls of one agent are made in order and take effect in order. Resolves with 'duplicate' for what is already
   * there, and with 'dropped' (counted) when the spool is full and its policy is to drop. Rejects with
   * FD_SPOOL_… when the disk fails; ingest then closes the stream, and the agent sends the batch again.
   */
  append(agent: BatchOrigin, batch: FlowBatch): Promise<AppendResult>
  /** The newest seq of this boot that is durable, 0 for none. */
  lastSeq(agentId: string, bootId: number): number
  /** Bytes of records that may wait for the disk, all agents together. */
  readonly queueBytes: number
  /** Whether so many more bytes of records may wait. A slow disk is no reason to lose what agents still hold. */
  hasRoom(bytes: number): boolean
  /** Resolves when half of the queue is free, or the sink stops. */
  room(): Promise<void>
}

export type AppendResult = 'stored' | 'duplicate' | 'dropped'

/** What the writer needs to know of where a batch comes from. */
export interface BatchOrigin {
  readonly id: string
  /** Record's iface byte → source number, 256 entries; 0 where the interface table had nothing. */
  readonly sourceOfIface: Uint16Array
  /** Gives an iface byte that no interface table named a source of its own, so that its flows are kept. */
  learnIface(iface: number): void
  readonly clockSkewMs: number
}

/** Flow records since start, by stage. `flowdam_flows_total{stage}`. */
export interface FlowCounters {
  received: number
  duplicate: number
  spooled: number
  stored: number
}

export function newFlowCounters(): FlowCounters {
  return { received: 0, duplicate: 0, spooled: 0, stored: 0 }
}
