// SPDX-License-Identifier: Apache-2.0
import { type Logger, VERSION } from '@flowdam/common'
import { Boundary, type LedgerTotals, type StatusServiceServer, type StoreStatus } from '@flowdam/proto'
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
      }
    }),
    listAgents: unary(log, () => ({ agents: sources.agents().map(apiAgent) })),
  }
}

function apiAgent(agent: AgentInfo) {
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
    lawViolations: agent.heartbeat?.lawViolations ?? 0,
    queuedRecords: agent.heartbeat?.queuedRecords ?? 0,
    rssBytes: agent.heartbeat?.rssBytes ?? 0,
  }
}
