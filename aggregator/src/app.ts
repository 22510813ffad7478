// SPDX-License-Identifier: Apache-2.0
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import {
  ClockWatch,
  createLogger,
  FlowdamError,
  type Health,
  type HostPort,
  HttpEndpoint,
  type Logger,
  parsePrefix,
  SteadyClock,
} from '@flowdam/common'
import { ApiAccess } from './access/access.js'
import { apiAttack } from './api/attack-service.js'
import type { ConfigInForce } from './api/config-service.js'
import { GrpcServers } from './api/servers.js'
import { apiServices } from './api/services.js'
import { AttackArchive } from './attacks/archive.js'
import { Attacks } from './attacks/attacks.js'
import { FlowTap } from './attacks/detail/flow-tap.js'
import { AttackJournal } from './attacks/journal.js'
import { attackedPrefixes } from './attacks/targets.js'
import { BanArchive } from './bans/archive.js'
import type { Ban } from './bans/ban.js'
import { Bans } from './bans/bans.js'
import { DropRules } from './bans/drop-rules.js'
import { Journal } from './bans/journal.js'
import { levelOf } from './bans/levels.js'
import { policiesOf } from './config/load.js'
import { agentConfigOf, hooksOf } from './config/parts.js'
import { diffConfig } from './config/present.js'
import { ruleOrigin } from './config/rule-origin.js'
import { banRulesOf } from './config/rules.js'
import type { AggregatorConfig } from './config/schema.js'
import { type AgentInfo, newFlowCounters } from './contracts.js'
import { CountedDrops } from './counted-drops.js'
import { Baselines } from './detect/baseline/baselines.js'
import type { Detection } from './detect/detection.js'
import { Detector } from './detect/detector.js'
import type { Direction, Metric } from './detect/slots.js'
import { DropCounter } from './drops.js'
import { fastNetMonApi } from './fastnetmon/api-service.js'
import { MetricWriter } from './fastnetmon/metric-writer.js'
import { LiveFlows } from './flows/live/live-flows.js'
import { aggregatorHealth } from './health.js'
import { attackDocument } from './hooks/attack-document.js'
import { HookLauncher } from './hooks/launcher.js'
import { HookRunner } from './hooks/runner.js'
import { HookUpdates } from './hooks/updates.js'
import { IngestServer } from './ingest/server.js'
import { aggregatorMetrics } from './metrics.js'
import { SourceRegistry } from './sources/registry.js'
import { Spool } from './spool/spool.js'
import { spoolOptions } from './store/config.js'
import { addStoreMetrics } from './store/metrics.js'
import { prepareStoreFolder, Store, schemaOptions } from './store/store.js'

/** How long a stop waits for hooks that run. */
const HOOKS_STOP_MS = 5000
/** What a reload cannot change. */
const FIXED = ['listen', 'fastnetmon_api', 'insecure', 'tls', 'state', 'store', 'detect'] as const
const FIXED_API = ['listen', 'tls', 'audit'] as const

/**
 * The aggregator put together, in the data's direction: ingest → detector → bans → hooks, and ingest → spool → store.
 * The API reads from all of them.
 */
export class Aggregator {
  readonly drops = new DropCounter()
  readonly flows = newFlowCounters()
  readonly detector: Detector
  readonly baselines: Baselines
  readonly bans: Bans
  readonly attacks: Attacks
  readonly hooks: HookRunner
  readonly updates: HookUpdates
  readonly dropRules: DropRules
  readonly spool: Spool
  readonly store: Store
  readonly liveFlows: LiveFlows
  readonly ingest: IngestServer
  #config: AggregatorConfig
  readonly #sources: SourceRegistry
  readonly #archive: BanArchive
  readonly #attackArchive: AttackArchive
  readonly access: ApiAccess
  readonly clockWatch: ClockWatch
  readonly #servers: GrpcServers
  readonly #http: HttpEndpoint
  readonly #journal: Journal
  readonly #launcher: HookLauncher
  /** Only where FastNetMon's tables are asked for. */
  readonly #metricWriter: MetricWriter | undefined
  readonly #stops: (() => void | Promise<void>)[] = []
  readonly #startedUnixMs = Date.now()
  readonly #file: string
  #loadedUnixMs = Date.now()
  #needRestart: readonly string[] = []

  /** `file` is where the configuration came from, for who asks. */
  constructor(config: AggregatorConfig, log: Logger = createLogger('flowdam-aggregator'), file = '') {
    this.#config = config
    this.#file = file
    const part = (component: string) => log.child({ component })
    const { drops, flows } = this
    const clock = new SteadyClock().now
    this.clockWatch = new ClockWatch({ log: part('clock'), onStep: () => this.ingest.clockStepped() })
    this.#launcher = new HookLauncher(part('hooks'))
    this.hooks = new HookRunner({
      runProcess: this.#launcher.run,
      hooks: hooksOf(config),
      parallel: config.hooks_parallel,
      clock,
      drops,
      log: part('hooks'),
      onRun: (id, run) => this.bans.hookRan(id, run),
      onSettled: (id) => this.bans.settled(id),
      attackOf: ({ attackId }) => (attackId === '' ? undefined : this.attacks.get(attackId)),
      report: ({ attackId }) => {
        const attack = attackId === '' ? undefined : this.attacks.get(attackId)
        return attack && attackDocument(apiAttack(attack))
      },
    })
    this.#journal = new Journal(join(config.state, 'bans.jsonl'), part('bans'))
    this.bans = new Bans({
      rules: banRulesOf(config),
      journal: this.#journal,
      actions: this.hooks,
      clock,
      log: part('bans'),
      watched: () => isWatched(this.ingest.agents()),
    })
    this.updates = new HookUpdates({
      bans: () => (this.bans.rules.dryRun ? [] : this.bans.active()),
      hooks: () => this.hooks.hooks,
      measure: (ban) => this.#measure(ban),
      update: (hook, ban) => this.hooks.update(hook, ban),
      clock,
    })
    this.baselines = new Baselines({
      file: join(config.state, 'baselines.bin'),
      maxProfiles: config.detect.max_baselines,
      suppressed: (address) => this.bans.covering(address) !== undefined,
      log: part('baselines'),
    })
    this.detector = new Detector({
      baselines: this.baselines,
      policies: policiesOf(config),
      counters: {
        maxAddresses: config.detect.max_addresses,
        maxEntries: config.detect.max_entries,
        maxPrefixes: config.detect.max_prefixes,
        idleMs: 60_000,
      },
      onDetection: (detection) => this.#detected(detection),
    })
    const storeFolder = config.store.path
    this.#sources = new SourceRegistry(storeFolder)
    this.spool = new Spool({
      ...spoolOptions(config.store),
      beforeCommit: () => this.#sources.sync(),
      drops,
      flows,
      log: part('spool'),
    })
    this.store = new Store({
      config: config.store,
      spool: this.spool,
      sources: this.#sources,
      drops,
      flows,
      log: part('store'),
    })
    const ruleOf = (target: string, direction: Direction, metric: Metric, rate: number) =>
      ruleOrigin(this.#config, target, direction, metric, rate)
    const flowTap = new FlowTap(this.spool, this.#sources, (attack) => attackedPrefixes(attack, this.#config))
    this.attacks = new Attacks({
      measure: (scope, target) => this.detector.averages(scope, target),
      ruleOf,
      flows: flowTap,
      clock,
      journal: new AttackJournal(join(config.state, 'attacks.jsonl'), part('attacks')),
      log: part('attacks'),
    })
    this.#attackArchive = new AttackArchive({
      attacks: this.attacks,
      store: this.store,
      record: (row) => this.#record('attacks', row),
      log: part('attacks'),
    })
    this.liveFlows = new LiveFlows(flowTap, this.#sources)
    this.ingest = new IngestServer({
      deltas: this.detector,
      batches: this.liveFlows,
      sources: this.#sources,
      drops,
      log: part('ingest'),
      config: agentConfigOf(config),
      certificates: config.tls !== undefined,
    })
    this.dropRules = new DropRules({
      bans: this.bans,
      send: (rules) => this.ingest.setRules(rules),
      clock,
      agents: () => this.ingest.agents(),
      log: part('bans'),
    })
    this.#archive = new BanArchive(this.bans, (row) => this.#record('bans', row), part('bans'))
    this.access = new ApiAccess(config, part('api'))
    const { detector, bans, attacks, hooks } = this
    const { fastnetmon_tables: metricTables } = config.store
    if (metricTables) {
      this.#metricWriter = new MetricWriter({
        store: this.store,
        database: metricTables.database,
        cluster: schemaOptions(config.store).cluster,
        intervalMs: metricTables.interval,
        networks: () => this.#config.networks,
        hosts: () => detector.hosts(),
        drops,
        log: part('fastnetmon'),
      })
    }
    const agents = () => this.ingest.agents()
    const storeStatus = () => this.store.status()
    const counted = new CountedDrops(drops, detector, this.baselines)
    this.#servers = new GrpcServers({
      config,
      access: this.access,
      ingest: this.ingest,
      drops,
      storeReady: () => this.store.isReady,
      log: part,
    })
    this.#servers.offer(
      apiServices(
        {
          startedUnixMs: this.#startedUnixMs,
          detector,
          baselines: this.baselines,
          bans,
          attacks,
          store: this.store,
          liveFlows: this.liveFlows,
          drops: counted,
          flows,
          agents,
          ledger: () => this.ingest.ledger(),
          clock: this.clockWatch,
          storeStatus,
          audit: this.access.audit,
          ruleOf,
          config: () => this.#config,
          configInForce: () => this.#configInForce(),
        },
        part,
      ),
    )
    this.#servers.offerFastNetMon(() => fastNetMonApi(bans, detector, part('fastnetmon')))
    this.#http = new HttpEndpoint({
      listen: config.listen.http,
      registry: addStoreMetrics(
        aggregatorMetrics({
          detector,
          baselines: this.baselines,
          bans,
          attacks,
          hooks,
          dropRules: this.dropRules,
          drops: counted,
          flows,
          losses: () => this.spool.losses,
          agents,
          clock: this.clockWatch,
          storeStatus,
          access: this.access,
          liveFlows: this.liveFlows,
        }),
        this.spool,
        this.store,
      ),
      health: () => this.health(),
    })
  }

  /** Bound address of gRPC; the port is the real one when 0 was configured. */
  get grpcAddress(): HostPort {
    return this.#servers.address
  }

  /** That of gRPC, unless the API has a port of its own. */
  get apiAddress(): HostPort {
    return this.#servers.apiAddress
  }

  get httpAddress(): HostPort {
    return this.#http.address
  }

  get config(): AggregatorConfig {
    return this.#config
  }

  /** Starts everything in order, or stops what it started and throws. */
  async start(): Promise<void> {
    const steps: [() => void | Promise<void>, () => void | Promise<void>][] = [
      [() => this.#prepareFolders(), () => {}],
      [() => this.access.start(), () => this.access.stop()],
      [() => this.#sources.start(), () => this.#sources.stop()],
      [() => this.spool.start(), () => this.spool.stop()],
      [() => this.store.start(), () => this.store.stop()],
      [() => this.#archive.start(), () => this.#archive.stop()],
      [() => this.#attackArchive.start(), () => this.#attackArchive.stop()],
      [() => this.#launcher.start(), () => this.#launcher.stop()],
      [() => this.bans.start(), () => this.bans.stop()],
      [() => {}, () => this.hooks.stop(HOOKS_STOP_MS)],
      [() => this.updates.start(), () => this.updates.stop()],
      [() => this.dropRules.start(), () => this.dropRules.stop()],
      [() => this.attacks.start(), () => this.attacks.stop()],
      [() => this.baselines.start(), () => this.baselines.stop()],
      [() => this.detector.start(), () => this.detector.stop()],
      [() => this.#metricWriter?.start(), () => this.#metricWriter?.stop()],
      [() => this.clockWatch.start(), () => this.clockWatch.stop()],
      [() => this.ingest.start(), () => this.ingest.stop()],
      [() => this.#servers.start(), () => this.#servers.stop()],
      [() => this.#http.start(), () => this.#http.stop()],
    ]
    try {
      for (const [start, stop] of steps) {
        await start()
        this.#stops.push(stop)
      }
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  /** Stops in the opposite order. Bans stay in force: the journal has them, and the next start announces them again. */
  async stop(): Promise<void> {
    for (let stop = this.#stops.pop(); stop; stop = this.#stops.pop()) await stop()
  }

  /** Takes over what a running daemon can change; returns the keys that need a restart. */
  reload(config: AggregatorConfig): string[] {
    const before = this.#config
    // What can fail comes before what changes.
    const policies = policiesOf(config)
    this.access.reload(config.api)
    const needRestart = this.#wouldNeedRestart(config)
    const api = { ...config.api, ...pick(before.api, FIXED_API) }
    this.access.audit.record({
      by: 'signal',
      peer: '',
      method: 'reload',
      request: { changes: diffConfig(before, config) },
      status: 'OK',
      error: '',
    })
    this.#config = { ...config, ...pick(before, FIXED), api }
    this.#loadedUnixMs = Date.now()
    this.#needRestart = needRestart
    const freshHooks = this.hooks.reconfigure(hooksOf(config), config.hooks_parallel)
    this.bans.reconfigure(banRulesOf(config), freshHooks)
    this.dropRules.refresh()
    this.detector.reconfigure(policies)
    this.ingest.setConfig(agentConfigOf(config))
    this.#servers.reloadCertificates()
    return needRestart
  }

  #wouldNeedRestart(config: AggregatorConfig): string[] {
    const differ = (before: unknown, after: unknown) => JSON.stringify(before) !== JSON.stringify(after)
    return [
      ...FIXED.filter((key) => differ(this.#config[key], config[key])),
      ...FIXED_API.filter((key) => differ(this.#config.api[key], config.api[key])).map((key) => `api.${key}`),
    ]
  }

  #configInForce(): ConfigInForce {
    return {
      config: this.#config,
      file: this.#file,
      loadedUnixMs: this.#loadedUnixMs,
      needRestart: this.#needRestart,
      wouldNeedRestart: (config) => this.#wouldNeedRestart(config),
    }
  }

  health(): Health {
    return aggregatorHealth({
      store: this.store,
      spool: this.spool,
      journal: this.#journal,
      audit: this.access.audit,
      bans: this.bans,
      ingest: this.ingest,
    })
  }

  async #record(table: 'bans' | 'attacks', row: object): Promise<void> {
    if (!this.store.isReady) throw new FlowdamError('FD_STORE_NOT_READY', 'the store is not open')
    await this.store.record(table, row)
  }

  /** The ban first in effect: what is done for the record takes microseconds and waits for nothing. */
  #detected(detection: Detection): void {
    const attack = this.attacks.seen(detection)
    for (const result of this.bans.detected(detection, attack)) {
      if ('ban' in result) this.attacks.banned(attack, result.ban.id, levelOf(result.ban))
    }
  }

  /** What a ban's prefix does now. */
  #measure({ prefix }: Ban) {
    const { length, text, bytes } = parsePrefix(prefix)
    const rates = length === 128 ? this.detector.host(bytes)?.rates : this.detector.averages('prefix', text)
    return rates && { rates, averages: rates }
  }

  #prepareFolders(): void {
    prepareStoreFolder(this.#config.store)
    try {
      mkdirSync(this.#config.state, { recursive: true, mode: 0o750 })
    } catch (cause) {
      throw new FlowdamError('FD_STATE_UNUSABLE', `cannot make the directory ${this.#config.state}`, {
        cause,
        remedy: "run with rights to it or change 'state'",
      })
    }
  }
}

function pick<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Pick<T, K> {
  return Object.fromEntries(keys.map((key) => [key, from[key]])) as Pick<T, K>
}

/** Quiet is only believed while every agent that we know of can tell of an attack. */
function isWatched(agents: readonly AgentInfo[]): boolean {
  return agents.length > 0 && agents.every(({ connected }) => connected)
}
