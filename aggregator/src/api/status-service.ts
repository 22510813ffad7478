// SPDX-License-Identifier: Apache-2.0
import { type ClockWatch, type Logger, VERSION } from '@flowdam/common'
import {
  AgentsWaiting,
  type Agent as ApiAgent,
  Boundary,
  Heartbeat,
  type LedgerTotals,
  type StatusServiceServer,
  type StoreStatus,
} from '@flowdam/proto'
import type { Attacks } from '../attacks/attacks.js'
import type { Bans } from '../bans/bans.js'
import type { AgentInfo, FlowCounters } from '../contracts.js'
import type { Detector } from '../detect/detector.js'
import type { DropCounter } from '../drops.js'
import { unary } from './status-error.js'

export interface StatusSources {
  startedUnixMs: number
  detector: Detector
  bans: Bans
  attacks: Attacks
  drops: DropCounter
  flows: FlowCounters
  agents: () => readonly AgentInfo[]
  ledger: () => LedgerTotals
  clock: ClockWatch
  storeStatus: () => StoreStatus
}

export function statusService(sources: StatusSources, log: Logger): StatusServiceServer {
  return {
    getStatus: unary(log, () => {
      const { incoming, outgoing } = sources.detector.external()
      return {
        version: VERSION,
        startedUnixMs: sources.startedUnixMs,
        agentsConnected: sources.agents().filter((agent) => agent.connected).length,
        incoming,
        outgoing,
        bansActive: sources.bans.activeCount,
        dryRun: sources.bans.rules.dryRun,
        store: sources.storeStatus(),
        drops: sources.drops.snapshot(),
        trackedAddresses: sources.detector.trackedAddresses,
        flows: { ...sources.flows },
        ledger: sources.ledger(),
        banControl: sources.bans.brake,
        attacksActive: sources.attacks.activeCount,
        agentsWaiting: waitingIn(sources.agents()),
        clockSteps: sources.clock.steps,
      }
    }),
    listAgents: unary(log, () => ({ agents: sources.agents().map(apiAgent) })),
  }
}

/** What a person asks first when an agent was away: how much is still to come, and how close it is to losing some. */
function waitingIn(agents: readonly AgentInfo[]): AgentsWaiting {
  const waiting = AgentsWaiting.create()
  for (const { id, connected, heartbeat, gapBatches, elsewhereBatches } of agents) {
    waiting.gapBatches += gapBatches
    waiting.elsewhereBatches += elsewhereBatches
    if (!connected || !heartbeat) continue
    waiting.records += heartbeat.queuedRecords
    waiting.oldestAgeMs = Math.max(waiting.oldestAgeMs, heartbeat.oldestAgeMs)
    const fill = heartbeat.spoolMaxBytes > 0 ? heartbeat.spoolBytes / heartbeat.spoolMaxBytes : 0
    if (heartbeat.spoolMaxBytes === 0 || fill < waiting.fullestFill) continue
    waiting.fullestAgent = id
    waiting.fullestFill = fill
  }
  return waiting
}

function apiAgent(agent: AgentInfo): ApiAgent {
  // Before the first heartbeat nothing is known: zeros.
  const heartbeat = agent.heartbeat ?? Heartbeat.create()
  return {
    id: agent.id,
    connected: agent.connected,
    version: agent.version,
    hostname: agent.hostname,
    kernel: agent.kernel,
    interfaces: agent.interfaces.interfaces.map(({ name, boundary, attachMode }) => ({
      name,
      boundary: boundary === Boundary.BOUNDARY_INTERNAL ? 'internal' : 'external',
      attachMode,
    })),
    lastSeenUnixMs: agent.lastSeenUnixMs,
    clockSkewMs: Math.round(agent.clockSkewMs),
    lawViolations: heartbeat.lawViolations,
    rssBytes: heartbeat.rssBytes,
    queuedRecords: heartbeat.queuedRecords,
    queuedBatches: heartbeat.queuedBatches,
    queuedBytes: heartbeat.queuedBytes,
    queueMaxBytes: heartbeat.queueMaxBytes,
    spoolBytes: heartbeat.spoolBytes,
    spoolMaxBytes: heartbeat.spoolMaxBytes,
    oldestAgeMs: heartbeat.oldestAgeMs,
    spoolErrors: heartbeat.spoolErrors,
    droppedRecords: heartbeat.droppedRecords,
    gapBatches: agent.gapBatches,
    elsewhereBatches: agent.elsewhereBatches,
    maybeDoubledRecords: heartbeat.maybeDoubledRecords,
    clockSteps: heartbeat.clockSteps,
  }
}
