// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseAggregatorConfig, policiesOf } from '@flowdam/aggregator'
import { Attacks } from '@flowdam/aggregator/internal/attacks/attacks'
import type { Ban } from '@flowdam/aggregator/internal/bans/ban'
import { Bans } from '@flowdam/aggregator/internal/bans/bans'
import { Journal } from '@flowdam/aggregator/internal/bans/journal'
import { levelOf } from '@flowdam/aggregator/internal/bans/levels'
import { banRulesOf } from '@flowdam/aggregator/internal/config/rules'
import { Baselines } from '@flowdam/aggregator/internal/detect/baseline/baselines'
import { Detector } from '@flowdam/aggregator/internal/detect/detector'
import { delta, hostDeltas } from '@flowdam/aggregator/internal/testing/delta-agent'
import { quietLog } from '@flowdam/aggregator/internal/testing/quiet-log'
import { ATTACK_VECTORS, DeltaClass } from '@flowdam/proto'

const INTERVAL_MS = 100
/** By the scene's clock; and the week that then begins, Monday 2026-11-16 00:00 UTC. */
const START = 1_000_000
const MONDAY = Date.UTC(2026, 10, 16)

/** The configuration of a small provider, as the documentation advises. */
const CONFIG = `
networks: [203.0.113.0/24, 198.51.100.0/24, '2001:db8::/32']
exempt: [198.51.100.1]
thresholds:
  incoming: { pps: 20k, bps: 500M, flows: 3500, syn_pps: 5k }
  outgoing: { pps: 30k, bps: 800M }
  carpet:
    ipv4/24: { incoming: { pps: 100k, bps: 2G } }
    ipv6/48: { incoming: { pps: 100k } }
  window: 1s
ban: { duration: 60s }
`

/** Some traffic: packets per second of one kind to or from one address. */
export interface Traffic {
  address: string
  /** At `ms` after the traffic began; 0 for a pause. */
  pps: number | ((ms: number) => number)
  /** Bytes of each packet. */
  size: number
  kind: keyof typeof DeltaClass
  /** Default incoming. */
  direction?: 'incoming' | 'outgoing'
  /** The reflectors' service. */
  vector?: (typeof ATTACK_VECTORS)[number]['name']
  fragments?: boolean
  /** New flows per second; default 10. */
  flows?: number
}

/** Detector, bans and attack records as the aggregator puts them together, on a clock of their own. */
export class Scene {
  readonly #folder = mkdtempSync(join(tmpdir(), 'flowdam-scenario-'))
  readonly detector: Detector
  readonly baselines: Baselines
  readonly attacks: Attacks
  readonly bans: Bans
  /** Hook calls, `ban 203.0.113.9/32 at 300`; times since the scene's first attack began. */
  readonly hooks: { action: string; ban: Ban; atMs: number }[] = []
  #now = START
  #seq = 0

  constructor(config = CONFIG) {
    const parsed = parseAggregatorConfig('scenario.yaml', config)
    const clock = () => this.#now
    this.bans = new Bans({
      rules: banRulesOf(parsed),
      journal: new Journal(join(this.#folder, 'bans.jsonl'), quietLog()),
      actions: { run: (action, ban) => this.hooks.push({ action, ban, atMs: this.#now }) },
      log: quietLog(),
      clock,
    })
    this.attacks = new Attacks({
      measure: (scope, target) => this.detector.averages(scope, target),
      log: quietLog(),
      clock,
    })
    this.baselines = new Baselines({
      log: quietLog(),
      maxProfiles: 1024,
      wallClock: () => MONDAY + this.#now - START,
      suppressed: (address) => this.bans.covering(address) !== undefined,
    })
    this.detector = new Detector({
      baselines: this.baselines,
      policies: policiesOf(parsed),
      counters: { maxAddresses: 4096, maxEntries: 1e6, idleMs: 60_000 },
      clock,
      onDetection: (detection) => {
        const attack = this.attacks.seen(detection)
        for (const result of this.bans.detected(detection, attack)) {
          if ('ban' in result) this.attacks.banned(attack, result.ban.id, levelOf(result.ban))
        }
      },
    })
    this.bans.start()
  }

  get now(): number {
    return this.#now
  }

  /** Hours since the scene's week began. */
  get hour(): number {
    return (this.#now - START) / 3_600_000
  }

  /** Weeks go by, a message each minute; `pps` of the traffic takes hours since the week began. */
  live(hours: number, traffic: readonly Traffic[]): void {
    const minute = traffic.map((each) => ({
      ...each,
      pps: typeof each.pps === 'number' ? each.pps : () => (each.pps as (hour: number) => number)(this.hour),
    }))
    for (let done = 0; done < hours * 60; done++) this.play(60, minute, 60_000)
  }

  /** All of it at the same time, for so long, agent interval by agent interval. */
  play(seconds: number, traffic: readonly Traffic[], intervalMs = INTERVAL_MS): void {
    const rests = traffic.map(() => 0)
    for (let ms = 0; ms < seconds * 1000; ms += intervalMs) {
      this.#now += intervalMs
      const entries = traffic.flatMap((each, index) => {
        const pps = typeof each.pps === 'number' ? each.pps : each.pps(ms)
        const exact = (pps * intervalMs) / 1000 + (rests[index] ?? 0)
        const packets = Math.floor(exact)
        rests[index] = exact - packets
        if (packets === 0) return []
        return delta(each.address, packets, packets * each.size, {
          class: DeltaClass[each.kind],
          direction: each.direction === 'outgoing' ? 1 : 0,
          vector: ATTACK_VECTORS.find(({ name }) => name === each.vector)?.number ?? 0,
          marks: each.fragments ? 1 : 0,
          flows: Math.round(((each.flows ?? 10) * intervalMs) / 1000),
        })
      })
      this.detector.onHostDeltas('edge1', hostDeltas(++this.#seq, intervalMs, entries, this.#now), this.#now)
      if (this.#now % 1000 === 0) {
        this.detector.tick()
        this.attacks.tick()
        this.bans.tick()
      }
    }
  }

  banned(): string[] {
    return this.bans.active().map(({ prefix, direction }) => `${prefix} ${direction}`)
  }

  end(): void {
    this.bans.stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** What a customer of ordinary size does all day. */
export function ordinary(address: string): Traffic[] {
  return [
    { address, pps: 800, size: 900, kind: 'tcp', flows: 20 },
    { address, pps: 600, size: 300, kind: 'tcp', direction: 'outgoing' },
    { address, pps: 10, size: 60, kind: 'tcpSyn', flows: 10 },
    { address, pps: 150, size: 1200, kind: 'udp', vector: 'quic' },
    { address, pps: 5, size: 200, kind: 'udp', vector: 'dns' },
    { address, pps: 1, size: 84, kind: 'icmp' },
  ]
}
