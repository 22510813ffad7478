// SPDX-License-Identifier: Apache-2.0
import { type HostPort, HttpEndpoint, VERSION } from '@flowdam/common'
import type { Ledger } from '@flowdam/proto'
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { Agent } from './agent.js'
import type { DropRuleState } from './kernel/drop-rules.js'
import { REASONS } from './kernel/layout.js'

/** result label → fields of a ledger. */
const RESULTS = [
  ['flow', 'flowPackets', 'flowBytes'],
  ['overflow', 'overflowPackets', 'overflowBytes'],
  ['not_ip', 'notIpPackets', 'notIpBytes'],
  ['malformed', 'malformedPackets', 'malformedBytes'],
] as const satisfies readonly (readonly [string, keyof Ledger, keyof Ledger])[]

/** Serves /metrics and /healthz; returns what stops it. */
export async function serveMetrics(agent: Agent, listen: HostPort): Promise<() => Promise<void>> {
  const endpoint = new HttpEndpoint({
    listen,
    registry: agentRegistry(agent),
    health: () => ({
      state: agent.parts.uplink?.connected ? 'ok' : 'degraded',
      stream: agent.parts.uplink?.connected ? 'connected' : 'disconnected',
      interfaces: agent.parts.interfaces
        ?.message()
        .interfaces.map(({ name, attachMode }) => ({ name, attachMode })),
    }),
  })
  await endpoint.start()
  return () => endpoint.stop()
}

/** Everything that moves has a counter. Values are read when somebody asks; nothing here is on a hot path. */
export function agentRegistry(agent: Agent): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, prefix: 'flowdam_agent_' })
  info(agent, registry)
  packets(agent, registry)
  dropRules(agent, registry)
  nicDrops(agent, registry)
  failures(agent, registry)
  setAside(agent, registry)
  const counter = (name: string, help: string, read: () => number) =>
    new Counter({
      name: `flowdam_agent_${name}`,
      help,
      registers: [registry],
      collect() {
        this.reset()
        this.inc(read())
      },
    })
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name: `flowdam_agent_${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(read())
      },
    })
  const parts = () => agent.parts
  counter('epochs_total', 'Epochs drained', () => parts().epochs?.stats.epochs ?? 0)
  counter(
    'early_flips_total',
    'Epochs ended early: a log was half full',
    () => parts().epochs?.stats.earlyFlips ?? 0,
  )
  counter(
    'recovered_epochs_total',
    'Epochs of an agent before this one that were drained again (keep_attached)',
    () => parts().epochs?.stats.recovered ?? 0,
  )
  counter(
    'unprotected_epochs_total',
    'Epochs cleared in the kernel though only this process had their batches (keep_attached)',
    () => parts().epochs?.stats.unprotected ?? 0,
  )
  counter(
    'lost_epochs_total',
    'Epochs in pinned maps of another layout: lost at the start (keep_attached)',
    () => parts().lostEpochs,
  )
  counter(
    'postponed_flips_total',
    'Epochs prolonged: export_rate was used up',
    () => parts().epochs?.stats.postponedFlips ?? 0,
  )
  counter(
    'law_violations_total',
    'Epochs whose ledger and records disagree; a defect',
    () => parts().epochs?.stats.lawViolations ?? 0,
  )
  counter('records_total', 'Flow records drained from the kernel', () => parts().epochs?.stats.records ?? 0)
  counter(
    'sent_records_total',
    'Flow records sent, repetitions included',
    () => parts().uplink?.stats.sentRecords ?? 0,
  )
  counter(
    'sent_batches_total',
    'Batches sent, repetitions included',
    () => parts().uplink?.stats.sentBatches ?? 0,
  )
  counter('sent_deltas_total', 'Host delta messages sent', () => parts().uplink?.stats.sentDeltas ?? 0)
  counter(
    'impossible_acks_total',
    'Acknowledgements of what was not sent, not believed; a defect of the aggregator',
    () => parts().uplink?.stats.impossibleAcks ?? 0,
  )
  counter('connects_total', 'Streams that got a Welcome', () => parts().uplink?.stats.connects ?? 0)
  counter(
    'disconnects_total',
    'Streams that ended after their Welcome',
    () => parts().uplink?.stats.disconnects ?? 0,
  )
  counter(
    'host_table_full_packets_total',
    'Packets that found no place in the host table: missing in detection, not in flows',
    () => parts().deltas?.lostPackets ?? 0,
  )
  gauge('connected', '1 while there is a stream to the aggregator', () => (parts().uplink?.connected ? 1 : 0))
  gauge('queue_batches', 'Batches not acknowledged', () => parts().queue.batches)
  gauge('queue_records', 'Flow records not acknowledged', () => parts().queue.records)
  gauge('queue_bytes', 'Bytes of flow records in memory, not acknowledged', () => parts().queue.bytes)
  gauge('queue_max_bytes', 'Most bytes of flow records in memory', () => parts().queue.maxBytes)
  gauge(
    'queue_oldest_seconds',
    'Since the oldest epoch not acknowledged began',
    () => parts().queue.oldestAgeMs / 1000,
  )
  gauge('spool_bytes', 'Bytes of spool files', () => parts().queue.spoolBytes)
  gauge('spool_max_bytes', 'Most bytes of spool files; 0 without a spool', () => parts().queue.spoolMaxBytes)
  gauge('spool_failing', '1 while the spool cannot be written', () => (parts().queue.spoolFailing ? 1 : 0))
  counter('spool_errors_total', 'Times that the spool failed', () => parts().queue.spoolErrors)
  counter('spooled_batches_total', 'Batches written to the spool', () => parts().queue.spooledBatches)
  counter(
    'dropped_batches_total',
    'Batches given up with their ledgers: too many',
    () => parts().queue.droppedBatches,
  )
  gauge(
    'maybe_doubled_records',
    'Records sent to a second aggregator while the first may have them',
    () => parts().uplink?.doubles.maybe ?? 0,
  )
  counter(
    'doubled_records_total',
    'Records sent to a second aggregator that the first turned out to have',
    () => parts().uplink?.doubles.certain ?? 0,
  )
  gauge('host_entries', 'Entries in the host table', () => parts().deltas?.entries ?? 0)
  gauge(
    'mapped_bytes',
    "Bytes of the kernel's maps that are mapped now",
    () => parts().maps?.mappedBytes ?? 0,
  )
  gauge(
    'grace_seconds',
    'Wait for the grace period at the last flip',
    () => (parts().epochs?.stats.graceMs ?? 0) / 1000,
  )
  gauge('flip_seconds', 'Last flip from start to clear', () => (parts().epochs?.stats.flipMs ?? 0) / 1000)
  gauge(
    'longest_slice_seconds',
    'Longest time that a read kept everything else waiting',
    () => (parts().deltas?.longestSliceMs ?? 0) / 1000,
  )
  gauge('read_seconds', 'Last in-place read for detection', () => (parts().deltas?.readMs ?? 0) / 1000)
  gauge(
    'clock_offset_seconds',
    "The aggregator's clock minus ours at Welcome",
    () => (parts().uplink?.stats.clockOffsetMs ?? 0) / 1000,
  )
  counter('clock_steps_total', 'Times that somebody set the wall clock', () => parts().clockSteps)
  return registry
}

function setAside(agent: Agent, registry: Registry): void {
  new Counter({
    name: 'flowdam_agent_set_aside_total',
    help: 'Malformed messages that no aggregator can take, by what they are; the log names the file that has them',
    labelNames: ['message'],
    registers: [registry],
    collect() {
      this.reset()
      this.inc({ message: 'batch' }, agent.parts.queue.setAside)
      this.inc({ message: 'deltas' }, agent.parts.uplink?.stats.setAsideDeltas ?? 0)
    },
  })
}

/** Prometheus knows an agent by the address that it scrapes; people, and the aggregator's metrics, by its id. */
function info(agent: Agent, registry: Registry): void {
  new Gauge({
    name: 'flowdam_agent_info',
    help: 'Always 1: which agent this is, to join its id to its other metrics',
    labelNames: ['agent', 'version'],
    registers: [registry],
  }).set({ agent: agent.config.id, version: VERSION }, 1)
}

function failures(agent: Agent, registry: Registry): void {
  new Counter({
    name: 'flowdam_agent_connect_failures_total',
    help: 'Attempts to reach an aggregator that failed, by why',
    labelNames: ['reason'],
    registers: [registry],
    collect() {
      this.reset()
      for (const [reason, count] of Object.entries(agent.parts.uplink?.stats.failures ?? {})) {
        this.inc({ reason }, count)
      }
    },
  })
}

function packets(agent: Agent, registry: Registry): void {
  const registers = [registry]
  const labelNames = ['iface', 'direction', 'result'] as const
  const each = (visit: (labels: { iface: string; direction: string }, ledger: Ledger) => void) => {
    const names = agent.parts.interfaces?.names ?? []
    for (const [byte, ledger] of agent.parts.epochs?.stats.ledgers ?? []) {
      const iface = names[byte & 0x7f] ?? `unknown_${byte & 0x7f}`
      visit({ iface, direction: byte & 0x80 ? 'egress' : 'ingress' }, ledger)
    }
  }
  new Counter({
    name: 'flowdam_agent_packets_total',
    help: 'Packets seen, by where they were counted',
    labelNames,
    registers,
    collect() {
      this.reset()
      each((labels, ledger) => {
        for (const [result, field] of RESULTS) this.inc({ ...labels, result }, ledger[field])
      })
    },
  })
  new Counter({
    name: 'flowdam_agent_bytes_total',
    help: 'Layer-3 bytes seen, by where they were counted',
    labelNames,
    registers,
    collect() {
      this.reset()
      each((labels, ledger) => {
        for (const [result, , field] of RESULTS) this.inc({ ...labels, result }, ledger[field])
      })
    },
  })
  new Counter({
    name: 'flowdam_agent_rule_dropped_packets_total',
    help: 'Packets that a drop rule dropped',
    labelNames: ['iface', 'direction'],
    registers,
    collect() {
      this.reset()
      each((labels, ledger) => this.inc(labels, ledger.droppedPackets))
    },
  })
  new Counter({
    name: 'flowdam_agent_reason_packets_total',
    help: 'Packets that were malformed or went to overflow, by why',
    labelNames: ['reason'],
    registers,
    collect() {
      this.reset()
      const sums = agent.parts.epochs?.stats.reasons
      for (const [index, reason] of REASONS.entries()) this.inc({ reason }, sums?.[index] ?? 0)
    },
  })
  const dropped = (unit: string, help: string, read: () => Readonly<Record<string, number>>) =>
    new Counter({
      name: `flowdam_agent_dropped_${unit}_total`,
      help,
      labelNames: ['reason'],
      registers,
      collect() {
        this.reset()
        for (const [reason, count] of Object.entries(read())) this.inc({ reason }, count)
      },
    })
  dropped(
    'records',
    'Flow records that this agent had no room for, by why; flowdam_lost_records_total says which had not arrived',
    () => agent.parts.queue.dropped,
  )
  dropped(
    'packets',
    'Packets of the flow records that this agent had no room for',
    () => agent.parts.queue.droppedPackets,
  )
  dropped(
    'bytes',
    'Layer-3 bytes of the flow records that this agent had no room for',
    () => agent.parts.queue.droppedBytes,
  )
}

function dropRules(agent: Agent, registry: Registry): void {
  const registers = [registry]
  const labelNames = ['prefix']
  const gauge = (name: string, help: string, value: (rule: DropRuleState) => number) =>
    new Gauge({
      name: `flowdam_agent_drop_rule_${name}`,
      help,
      labelNames,
      registers,
      collect() {
        this.reset()
        for (const rule of agent.parts.dropRules?.list() ?? []) this.set({ prefix: rule.prefix }, value(rule))
      },
    })
  // Gauges: a rule that is gone and comes back begins at zero.
  gauge('packets', 'Packets that a rule in force has dropped', ({ packets }) => packets)
  gauge('bytes', 'Layer-3 bytes that a rule in force has dropped', ({ bytes }) => bytes)
  gauge('remaining_seconds', 'Until the kernel forgets a rule', ({ remainingMs }) => remainingMs / 1000)
  new Counter({
    name: 'flowdam_agent_drop_rules_refused_total',
    help: 'Drop rules that were not applied, by why',
    labelNames: ['reason'],
    registers,
    collect() {
      this.reset()
      for (const [reason, rules] of agent.parts.dropRules?.refused ?? []) this.inc({ reason }, rules)
    },
  })
}

function nicDrops(agent: Agent, registry: Registry): void {
  new Counter({
    name: 'flowdam_agent_nic_drops_total',
    help: "What the network card or its driver lost before our programs, by the driver's own names",
    labelNames: ['iface', 'counter'],
    registers: [registry],
    collect() {
      this.reset()
      for (const { name, drops } of agent.parts.interfaces?.nicDrops() ?? []) {
        for (const [counter, packets] of drops) this.inc({ iface: name, counter }, packets)
      }
    },
  })
}
