// SPDX-License-Identifier: Apache-2.0
import { hostname, release } from 'node:os'
import { join } from 'node:path'
import { ClockWatch, describeError, type Logger, VERSION } from '@flowdam/common'
import {
  type Config,
  type Heartbeat,
  type Hello,
  PROTOCOL_VERSION,
  RECORD_SIZE,
  type Rules,
} from '@flowdam/proto'
import { credentials } from '@grpc/grpc-js'
import { type AgentConfig, compareConfigs } from './config.js'
import { Counter } from './counter.js'
import { ReadPace } from './detect/read-pace.js'
import { rateOfNewFlows } from './stream/backlog.js'
import { BatchQueue } from './stream/batch-queue.js'
import { DeadLetters } from './stream/dead-letters.js'
import { KnownConfig } from './stream/known-config.js'
import { KnownInterfaces } from './stream/known-interfaces.js'
import { DiskSpool } from './stream/spool/disk-spool.js'
import { TlsIdentity } from './stream/tls.js'
import { Uplink } from './stream/uplink.js'
import { type Pace, paceOf } from './told.js'

/** How long a clean stop waits for acknowledgements. */
const STOP_WAIT_MS = 5000
/** And how long writing the rest to the spool may take then. */
const SPOOL_WAIT_MS = 5000
/** What is kept of malformed messages, bytes; at most half of spool.max. */
const MOST_DEAD_LETTERS = 16 << 20

/** The daemon: counts in the kernel, reads in place, ships epochs. */
export class Agent {
  /** This process, for the numbering of its host deltas. */
  readonly #runId = Date.now()
  readonly log: Logger
  #config: AgentConfig
  /** By the aggregator, last. */
  #told: Config | undefined
  #counter: Counter | undefined
  #uplink: Uplink | undefined
  readonly #queue: BatchQueue
  readonly #deadLetters: DeadLetters | undefined
  readonly #tls: TlsIdentity | undefined
  readonly #knownConfig: KnownConfig | undefined
  readonly #knownInterfaces: KnownInterfaces | undefined
  readonly #clockWatch: ClockWatch
  readonly #readPace = new ReadPace()
  #stopping = false
  /** Whoever reads the maps now. */
  #busy: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined

  constructor(config: AgentConfig, log: Logger) {
    this.#config = config
    this.log = log
    const { id, spool, tls } = config
    this.#deadLetters =
      spool &&
      new DeadLetters({
        path: join(spool.path, `${id}.refused.jsonl`),
        maxBytes: Math.min(MOST_DEAD_LETTERS, spool.max / 2),
        log,
      })
    this.#queue = new BatchQueue({
      maxBytes: config.queue,
      spool: spool && new DiskSpool({ folder: join(spool.path, `${id}.spool`), maxBytes: spool.max }),
      deadLetters: this.#deadLetters,
      log,
    })
    this.#clockWatch = new ClockWatch({ log })
    this.#tls = tls && new TlsIdentity(tls, log)
    this.#knownInterfaces = spool && new KnownInterfaces(join(spool.path, `${id}.interfaces.json`), log)
    this.#knownConfig = spool && new KnownConfig(join(spool.path, `${id}.config.json`), log)
  }

  get config(): AgentConfig {
    return this.#config
  }

  /** For metrics; undefined before start. */
  get parts() {
    return {
      epochs: this.#counter?.epochs,
      deltas: this.#counter?.deltas,
      queue: this.#queue,
      uplink: this.#uplink,
      maps: this.#counter?.maps,
      interfaces: this.#counter?.interfaces,
      dropRules: this.#counter?.dropRules,
      clockSteps: this.#clockWatch.steps,
      lostEpochs: this.#counter?.counting.lostEpochs ?? 0,
    }
  }

  /** Loads, attaches, connects. Throws what kernel/ and attach/ throw, and leaves nothing behind then. */
  async start(): Promise<void> {
    const known = this.#knownConfig?.load()
    this.#told = known?.config
    const counter = Counter.start({
      config: { ...this.#config, ...this.#pace },
      log: this.log,
      knownInterfaces: this.#knownInterfaces?.load() ?? [],
      emit: (batch, bootId, seq) => {
        this.#queue.push({ bootId, seq, ...batch, lost: undefined })
        this.#uplink?.pump()
      },
      durableSeq: () => this.#queue.durableSeq,
      interfacesChanged: () => this.#uplink?.sendInterfaces(),
    })
    this.#counter = counter
    this.#knownInterfaces?.save(counter.interfaces.names)
    this.#queue.start()
    if (known) {
      this.#setNetworks(known.config)
      this.#setRules(known.rules)
      this.log.info({ ...this.#pace, ...sizesOf(known) }, 'goes on as the aggregator said last')
    }
    // Before the stream: it tells the aggregator which batches there are.
    this.#busy = counter.recover()
    await this.#busy
    if (this.#stopping) return
    this.#clockWatch.start()
    this.#startUplink(counter)
    this.#schedule(this.#pace.detect_interval)
  }

  /** Detaches first, so that the last epoch has everything; then drains, sends and waits for acknowledgements. */
  async stop(): Promise<void> {
    this.#stopping = true
    this.#clockWatch.stop()
    clearTimeout(this.#timer)
    // What reads the maps must have ended before they go.
    await this.#busy.catch(() => undefined)
    try {
      await this.#counter?.stop()
      await this.#uplink?.stop(STOP_WAIT_MS)
      await this.#queue.stop(SPOOL_WAIT_MS)
    } finally {
      const { batches, records, unsaved } = this.#queue
      if (unsaved > 0) this.log.warn({ batches, records, unsaved }, 'stopped with unacknowledged batches')
      else if (batches > 0) this.log.info({ batches, records }, 'unacknowledged batches wait in the spool')
      await this.#counter?.close()
      this.#counter = undefined
    }
  }

  /** Applies what can change while running; says what needs a restart. */
  reload(config: AgentConfig): void {
    const { applied, restart } = compareConfigs(this.#config, config)
    const old = this.#config
    this.#config = {
      ...old,
      ...Object.fromEntries(applied.map((key) => [key, config[key as keyof AgentConfig]])),
    }
    this.#applyPace()
    this.#queue.setLimits({ maxBytes: this.#config.queue })
    if (applied.includes('networks') && !this.#told)
      this.#counter?.deltas.setNetworks(this.#config.networks, [])
    if (this.#tls?.renew()) {
      this.log.info('new certificates')
      this.#uplink?.reconnect()
    }
    if (restart.length > 0) this.log.warn({ keys: restart }, 'these changes take effect at the next start')
    this.log.info({ keys: applied }, 'configuration reloaded')
  }

  #startUplink(counter: Counter): void {
    const config = this.#config
    this.#uplink = new Uplink({
      targets: config.aggregator.map((address) => ({
        address,
        overTls: config.tls !== undefined,
        credentials: () => this.#tls?.credentials() ?? credentials.createInsecure(),
      })),
      queue: this.#queue,
      deltas: counter.deltas,
      hello: () => this.#hello(),
      madeSeq: () => counter.counting.sequence.nextSeq - 1,
      numberFrom: (seq) => counter.counting.sequence.advance(seq),
      interfaces: () => this.#counter?.interfaces.message() ?? { interfaces: [] },
      heartbeat: () => this.#heartbeat(),
      config: (told) => {
        if (!this.#setNetworks(told)) return
        this.#told = told
        this.#applyPace()
        this.#knownConfig?.saveConfig(told)
      },
      rules: (rules) => {
        this.#setRules(rules)
        this.#knownConfig?.saveRules(rules)
      },
      log: this.log,
      deadLetters: this.#deadLetters,
      exportRate: this.#pace.export_rate,
    })
    this.#uplink.start()
  }

  #setRules({ drop }: Rules): void {
    const rules = this.#counter?.dropRules
    if (!rules) {
      if (drop.length > 0) this.log.warn({ rules: drop.length }, 'drop rules are not enabled on this agent')
      return
    }
    const refused = rules.replace(drop, this.#counter?.deltas.networks ?? [])
    this.log.info({ rules: drop.length - refused.length }, 'drop rules replaced')
    if (refused.length > 0) this.log.error({ refused: refused.slice(0, 8) }, 'drop rules refused')
  }

  #schedule(waitMs: number): void {
    this.#timer = setTimeout(() => {
      this.#busy = this.#tick()
    }, waitMs)
  }

  async #tick(): Promise<void> {
    const counter = this.#counter
    if (!counter) return
    const began = performance.now()
    try {
      const sums = await counter.deltas.read()
      const costMs = performance.now() - began
      this.#uplink?.sendDeltas()
      this.#setLimits(counter)
      counter.epochs.tick()
      // Without a stream nobody is waiting for it.
      const usualMs = this.#pace.detect_interval
      const waitMs = this.#uplink?.connected ? this.#readPace.next(sums, began, costMs, usualMs) : usualMs
      if (!this.#stopping) this.#schedule(Math.max(1, waitMs - (performance.now() - began)))
    } catch (error) {
      this.log.error({ reason: describeError(error) }, 'the maps cannot be read')
      if (!this.#stopping) this.#schedule(this.#pace.detect_interval)
    }
  }

  get #pace(): Pace {
    return paceOf(this.#config, this.#told)
  }

  #applyPace(): void {
    this.#uplink?.setExportRate(this.#pace.export_rate)
    if (this.#counter) this.#setLimits(this.#counter)
  }

  #setLimits(counter: Counter): void {
    const pace = this.#pace
    counter.setLimits(pace.export_interval, rateOfNewFlows(pace, this.#uplink))
  }

  get #bootId(): number {
    return this.#counter?.bootId ?? 0
  }

  #hello(): Hello {
    return {
      protocolVersion: PROTOCOL_VERSION,
      agentId: this.#config.id,
      bootId: this.#bootId,
      version: VERSION,
      hostname: hostname(),
      kernel: release(),
      recordSize: RECORD_SIZE,
      interfaces: this.#counter?.interfaces.message() ?? { interfaces: [] },
      nowUnixMs: Date.now(),
      oldestSeq: this.#queue.oldestSeq(this.#bootId),
      ackedSeq: this.#queue.ackedSeq(this.#bootId),
      runId: this.#runId,
    }
  }

  /** Whether they could be read; else the old ones stay. */
  #setNetworks({ networks, exemptRemote }: Config): boolean {
    try {
      this.#counter?.deltas.setNetworks(networks, exemptRemote)
      return true
    } catch (error) {
      this.log.warn(
        { reason: describeError(error) },
        'the aggregator sent networks that cannot be read; keeping the old ones',
      )
      return false
    }
  }

  #heartbeat(): Heartbeat {
    const { user, system } = process.cpuUsage()
    return {
      nowUnixMs: Date.now(),
      queuedBatches: this.#queue.batches,
      queuedRecords: this.#queue.records,
      droppedRecords: this.droppedRecords(),
      droppedPackets: notZero(this.#queue.droppedPackets),
      droppedBytes: notZero(this.#queue.droppedBytes),
      lawViolations: this.#counter?.epochs.stats.lawViolations ?? 0,
      cpuUs: user + system,
      rssBytes: process.memoryUsage.rss(),
      queuedBytes: this.#queue.bytes,
      spoolBytes: this.#queue.spoolBytes,
      spoolMaxBytes: this.#queue.spoolMaxBytes,
      oldestAgeMs: this.#queue.oldestAgeMs,
      spoolErrors: this.#queue.spoolErrors,
      maybeDoubledRecords: this.#uplink?.doubles.maybe ?? 0,
      dropRules: this.#counter?.dropRules !== undefined,
      dropped: this.#counter?.dropRules?.list() ?? [],
      clockSteps: this.#clockWatch.steps,
      queueMaxBytes: this.#queue.maxBytes,
    }
  }

  /** Flow detail lost since start, by reason. Packets are never lost: overflow counts them. */
  droppedRecords(): { [reason: string]: number } {
    return notZero(this.#queue.dropped)
  }
}

function notZero(counts: Readonly<Record<string, number>>): { [reason: string]: number } {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0))
}

function sizesOf({ config, rules }: { config: Config; rules: Rules }) {
  return { networks: config.networks.length, rules: rules.drop.length }
}
