// SPDX-License-Identifier: Apache-2.0

import type { ClockWatch } from '@flowdam/common'
import type { StoreStatus } from '@flowdam/proto'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { ApiAccess } from './access/access.js'
import { REFUSALS } from './access/counts.js'
import type { Attacks } from './attacks/attacks.js'
import type { Bans } from './bans/bans.js'
import type { DropRules } from './bans/drop-rules.js'
import { isHookFailing } from './bans/hook-history.js'
import { levelOf } from './bans/levels.js'
import type { AgentInfo, FlowCounters } from './contracts.js'
import type { Baselines } from './detect/baseline/baselines.js'
import type { Detector } from './detect/detector.js'
import { DIRECTIONS } from './detect/slots.js'
import { DROP_REASONS, type DropCounter, type DropStage } from './drops.js'
import type { LiveFlows } from './flows/live/live-flows.js'
import type { HookRunner } from './hooks/runner.js'
import { LOSS_REASONS, type Losses, type LossStage } from './spool/losses.js'

export interface MetricSources {
  detector: Detector
  baselines: Baselines
  bans: Bans
  attacks: Attacks
  hooks: HookRunner
  dropRules: DropRules
  drops: DropCounter
  flows: FlowCounters
  losses: () => Losses
  agents: () => readonly AgentInfo[]
  clock: ClockWatch
  storeStatus: () => StoreStatus
  access: ApiAccess
  liveFlows: LiveFlows
}

/** Everything that moves has a counter. Values are read when Prometheus asks; docs/metrics.md lists them. */
export function aggregatorMetrics(sources: MetricSources): Registry {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry, prefix: 'flowdam_' })

  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name: `flowdam_${name}`,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
  const labelled = <L extends string>(
    kind: 'gauge' | 'counter',
    name: string,
    help: string,
    labelNames: L[],
    read: () => Iterable<[Record<L, string>, number]>,
  ) => {
    const settings = { name: `flowdam_${name}`, help, labelNames, registers }
    if (kind === 'gauge') {
      return new Gauge({
        ...settings,
        collect() {
          this.reset()
          for (const [labels, value] of read()) this.set(labels, value)
        },
      })
    }
    return new Counter({
      ...settings,
      collect() {
        this.reset()
        for (const [labels, value] of read()) this.inc(labels, value)
      },
    })
  }

  const { detector, baselines, bans, attacks, hooks, dropRules, drops, flows, losses, agents, storeStatus } =
    sources
  const { counts, audit } = sources.access
  labelled('counter', 'api_calls_total', 'API calls that ended', ['method', 'status'], () => counts.calls())
  labelled('counter', 'api_refused_total', 'API calls not let through', ['reason'], () =>
    REFUSALS.map((reason) => [{ reason }, counts.refused(reason)]),
  )
  gauge('api_calls_open', 'API calls and watches under way', () => counts.open)
  const { liveFlows } = sources
  gauge('flow_watchers', 'Callers that watch flows as they arrive', () => liveFlows.watchers)
  labelled(
    'counter',
    'flow_watch_flows_total',
    'Flows that matched a watch: given to it, or missed because it read too slowly; they are stored all the same',
    ['result'],
    () => [
      [{ result: 'sent' }, liveFlows.sent],
      [{ result: 'missed' }, liveFlows.missed],
    ],
  )
  labelled('counter', 'audit_lines_total', 'Lines for the audit log', ['result'], () => [
    [{ result: 'written' }, audit.written],
    [{ result: 'failed' }, audit.failed],
  ])
  labelled('counter', 'flows_total', 'Flow records by stage', ['stage'], () =>
    Object.entries(flows).map(([stage, count]) => [{ stage }, count as number]),
  )
  labelled(
    'counter',
    'dropped_total',
    'Everything lost; docs/troubleshooting.md has each reason',
    ['stage', 'reason'],
    () =>
      // Also what is still 0: a counter that begins with 1 has no increase that an alert could see.
      Object.entries(DROP_REASONS).flatMap(([stage, reasons]) =>
        reasons.map((reason): [{ stage: string; reason: string }, number] => [
          { stage, reason },
          drops.get(stage as DropStage, reason),
        ]),
      ),
  )
  for (const [unit, help] of [
    ['records', 'Flow records that were given up, by agents too; goes on over restarts'],
    ['packets', 'Packets of the flow records that were given up'],
    ['bytes', 'Layer-3 bytes of the flow records that were given up'],
  ] as const) {
    labelled('counter', `lost_${unit}_total`, help, ['stage', 'reason'], () =>
      Object.entries(LOSS_REASONS).flatMap(([stage, reasons]) =>
        reasons.map((reason): [{ stage: string; reason: string }, number] => [
          { stage, reason },
          losses().get(stage as LossStage, reason)[unit],
        ]),
      ),
    )
  }
  labelled('gauge', 'agent_connected', '1 while the agent is connected', ['agent'], () =>
    agents().map((agent) => [{ agent: agent.id }, agent.connected ? 1 : 0]),
  )
  labelled('gauge', 'agent_clock_skew_seconds', "The agent's clock minus ours", ['agent'], () =>
    agents().map((agent) => [{ agent: agent.id }, agent.clockSkewMs / 1000]),
  )
  labelled(
    'counter',
    'agent_law_violations_total',
    'Epochs whose ledger and records disagree, as the agent says; a defect',
    ['agent'],
    () => agents().map((agent) => [{ agent: agent.id }, agent.heartbeat?.lawViolations ?? 0]),
  )
  for (const [name, help, read] of [
    ['queue_records', 'Flow records in the agent that we have not acknowledged', 'queuedRecords'],
    ['spool_bytes', "Bytes of the agent's spool files", 'spoolBytes'],
    ['spool_max_bytes', "Most bytes of the agent's spool files; 0 without a spool", 'spoolMaxBytes'],
    ['clock_steps', "Times that somebody set the agent's wall clock since its start", 'clockSteps'],
  ] as const) {
    labelled('gauge', `agent_${name}`, help, ['agent'], () =>
      agents().map((agent) => [{ agent: agent.id }, agent.heartbeat?.[read] ?? 0]),
    )
  }
  labelled(
    'gauge',
    'agent_queue_oldest_seconds',
    'Since the oldest epoch began that the agent has not had acknowledged',
    ['agent'],
    () => agents().map((agent) => [{ agent: agent.id }, (agent.heartbeat?.oldestAgeMs ?? 0) / 1000]),
  )
  labelled('counter', 'agent_missing_batches_total', 'Batches that did not come here', ['agent', 'why'], () =>
    agents().flatMap(({ id, gapBatches, elsewhereBatches }): [{ agent: string; why: string }, number][] => [
      [{ agent: id, why: 'lost' }, gapBatches],
      [{ agent: id, why: 'elsewhere' }, elsewhereBatches],
    ]),
  )
  labelled(
    'counter',
    'agent_streams_replaced_total',
    'Streams that another of the same agent took over; two agents with one id do that without end',
    ['agent'],
    () => agents().map((agent) => [{ agent: agent.id }, agent.replacedStreams]),
  )
  labelled('counter', 'clock_steps_total', 'Times that somebody set our wall clock', [], () => [
    [{}, sources.clock.steps],
  ])
  gauge('detector_addresses', 'Protected addresses with counters', () => detector.trackedAddresses)
  gauge('detector_entries_held', 'Delta entries that windows hold', () => detector.heldEntries)
  labelled('counter', 'detector_messages_total', 'Host delta messages', [], () => [[{}, detector.messages]])
  labelled('counter', 'detector_entries_total', 'Delta entries', [], () => [[{}, detector.entries]])
  labelled('counter', 'detector_busy_seconds_total', 'Time spent on host deltas', [], () => [
    [{}, detector.busyMs / 1000],
  ])
  labelled('counter', 'detector_windows_cut_total', 'Slices taken out of a window early', [], () => [
    [{}, detector.losses.cutShort],
  ])
  labelled('counter', 'detections_total', 'Thresholds exceeded', [], () => [[{}, detector.detections]])
  labelled(
    'counter',
    'detections_postponed_total',
    'Times that an address or prefix over a threshold waited for its turn',
    [],
    () => [[{}, detector.postponed]],
  )
  for (const [metric, help] of [
    ['pps', 'Packets per second of protected addresses'],
    ['bps', 'Bits per second of protected addresses'],
    ['flows', 'Flows per second of protected addresses'],
  ] as const) {
    labelled('gauge', `hostgroup_${metric}`, help, ['hostgroup', 'direction'], () =>
      detector
        .groups()
        .flatMap(({ name, rates }) =>
          DIRECTIONS.map((direction): [{ hostgroup: string; direction: string }, number] => [
            { hostgroup: name, direction },
            metric === 'flows' ? rates[direction].flows : rates[direction].all[metric],
          ]),
        ),
    )
  }
  gauge('baselines', 'Addresses with a learned profile', () => baselines.size)
  gauge(
    'baselines_saved_timestamp_seconds',
    'When baselines were last written',
    () => baselines.savedUnixMs / 1000,
  )
  labelled(
    'counter',
    'baselines_save_failures_total',
    'Times that baselines could not be written',
    [],
    () => [[{}, baselines.failedSaves]],
  )
  gauge('attacks_active', 'Attacks under way', () => attacks.activeCount)
  labelled('counter', 'attacks_total', 'Attacks that began', [], () => [[{}, attacks.begun]])
  labelled('gauge', 'bans_active', 'Bans in force', ['dry_run'], () => {
    const dry = bans.active().filter((ban) => ban.dryRun).length
    return [
      [{ dry_run: 'true' }, dry],
      [{ dry_run: 'false' }, bans.activeCount - dry],
    ]
  })
  const levels = new Map<string, [{ level: string; action: string }, number]>()
  labelled('gauge', 'bans_at_level', 'Bans in force by level', ['level', 'action'], () => {
    // A level where no ban is any more stays, at 0: a series that ends would be drawn on, or miss in a sum.
    for (const entry of levels.values()) entry[1] = 0
    for (const ban of bans.active()) {
      const { name: level, action } = levelOf(ban)
      const key = `${level} ${action}`
      levels.set(key, [{ level, action }, (levels.get(key)?.[1] ?? 0) + 1])
    }
    return levels.values()
  })
  labelled('counter', 'ban_steps_total', 'Arrivals of bans at a level', ['level'], () =>
    [...bans.steps].map(([level, count]) => [{ level }, count]),
  )
  gauge('drop_rules', 'Prefixes that agents are to drop', () => dropRules.count)
  gauge('drop_rule_agents', 'Connected agents that apply drop rules', () => dropRules.agents)
  gauge(
    'bans_hooks_failing',
    'Bans in force with a hook whose last attempt failed',
    () => bans.active().filter(isHookFailing).length,
  )
  gauge(
    'bans_not_withdrawn',
    'Ended bans that a hook has not withdrawn yet',
    () => bans.notWithdrawn().length,
  )
  labelled('gauge', 'bans_stopped', '1 while the detector bans nothing', ['state'], () =>
    (['paused', 'tripped'] as const).map((state) => [{ state }, bans.brake.state === state ? 1 : 0]),
  )
  gauge(
    'bans_max_active',
    'Most prefixes that may be dropped or blackholed, ban.max_active',
    () => bans.rules.maxActive,
  )
  labelled('counter', 'bans_total', 'Bans made', [], () => [[{}, bans.made]])
  labelled('counter', 'bans_refused_total', 'Bans that a guard rail forbade', ['reason'], () =>
    Object.entries(bans.refusals).map(([reason, count]) => [{ reason }, count]),
  )
  labelled('counter', 'hook_runs_total', 'Attempts of hooks', ['hook', 'action', 'result'], () => {
    const runs = new Map<string, [{ hook: string; action: string; result: string }, number]>()
    const put = (hook: string, action: string, result: string, count: number) =>
      runs.set(`${hook} ${action} ${result}`, [{ hook, action, result }, count])
    // As for drops: the first run must be an increase, too.
    for (const { name } of hooks.hooks) {
      for (const action of ['ban', 'unban']) {
        for (const result of ['ok', 'failed', 'timeout']) put(name, action, result, 0)
      }
    }
    for (const { hook, action, result, count } of hooks.counts()) put(hook, action, result, count)
    return runs.values()
  })
  gauge('hooks_running', 'Hook processes now', () => hooks.running)
  const startDelay = new Histogram({
    name: 'flowdam_hook_start_delay_seconds',
    help: 'From the message that exceeded the threshold to the hook process',
    buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  })
  hooks.onStartDelay = (seconds) => startDelay.observe(seconds)
  gauge('store_spool_segments', 'Segments not yet in the store', () => storeStatus().spoolSegments)
  gauge(
    'store_spool_bytes',
    'Bytes of the segments that are not yet in the store',
    () => storeStatus().spoolBytes,
  )
  gauge('store_lag_seconds', 'Age of the oldest flow not yet in the store', () => storeStatus().lagMs / 1000)
  gauge('store_up', '1 ok, 0.5 degraded, 0 failed', () => {
    const { state } = storeStatus()
    return state === 'ok' ? 1 : state === 'degraded' ? 0.5 : 0
  })
  return registry
}
