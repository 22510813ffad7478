// SPDX-License-Identifier: Apache-2.0
import { hostname, release } from 'node:os'
import { join } from 'node:path'
import { describeError, type Logger, VERSION } from '@flowdam/common'
import { type Config, type Heartbeat, type Hello, PROTOCOL_VERSION, RECORD_SIZE } from '@flowdam/proto'
import { credentials } from '@grpc/grpc-js'
import { Interfaces, missingInterfaces } from './attach/interfaces.js'
import { type AgentConfig, compareConfigs } from './config.js'
import { Epochs } from './count/epochs.js'
import { Deltas } from './detect/deltas.js'
import { FlowMaps } from './kernel/flow-maps.js'
import { type FlowObject, loadFlowObject } from './kernel/flow-object.js'
import { type GracePeriod, gracePeriod } from './kernel/grace-period.js'
import { IfaceTable } from './kernel/iface-table.js'
import { checkCapabilities, checkKernel, kernelAtLeast } from './kernel/requirements.js'
import { BatchQueue } from './stream/batch-queue.js'
import { KnownConfig } from './stream/known-config.js'
import { DiskSpool } from './stream/spool/disk-spool.js'
import { TlsIdentity } from './stream/tls.js'
import { Uplink } from './stream/uplink.js'

/** How long a clean stop waits for acknowledgements. */
const STOP_WAIT_MS = 5000
/** And how long writing the rest to the spool may take then. */
const SPOOL_WAIT_MS = 5000

/** The daemon: counts in the kernel, reads in place, ships epochs. */
export class Agent {
  /** Grows with each start; together with a batch's seq it names the batch for ever. */
  readonly bootId = Date.now()
  /** This process, for the numbering of its host deltas. */
  readonly #runId = Date.now()
  readonly log: Logger
  #config: AgentConfig
  #kernel: FlowObject | undefined
  #grace: GracePeriod | undefined
  #maps: FlowMaps | undefined
  #interfaces: Interfaces | undefined
  #deltas: Deltas | undefined
  #epochs: Epochs | undefined
  #uplink: Uplink | undefined
  readonly #queue: BatchQueue
  readonly #tls: TlsIdentity | undefined
  readonly #knownConfig: KnownConfig | undefined
  #lastSeq = 0
  #timer: NodeJS.Timeout | undefined

  constructor(config: AgentConfig, log: Logger) {
    this.#config = config
    this.log = log
    const { id, spool, tls } = config
    this.#queue = new BatchQueue({
      maxBytes: config.queue,
      spool: spool && new DiskSpool({ folder: join(spool.path, `${id}.spool`), maxBytes: spool.max }),
      log,
    })
    this.#tls = tls && new TlsIdentity(tls)
    this.#knownConfig = spool && new KnownConfig(join(spool.path, `${id}.config.json`), log)
  }

  get config(): AgentConfig {
    return this.#config
  }

  /** For metrics; undefined before start. */
  get parts() {
    return {
      epochs: this.#epochs,
      deltas: this.#deltas,
      queue: this.#queue,
      uplink: this.#uplink,
      maps: this.#maps,
      interfaces: this.#interfaces,
    }
  }

  /** Loads, attaches, connects. Throws what kernel/ and attach/ throw, and leaves nothing behind then. */
  start(): void {
    try {
      this.#startCounting()
    } catch (error) {
      this.#stopCounting()
      throw error
    }
    this.#queue.start()
    const known = this.#knownConfig?.load()
    if (known) this.#setNetworks(known)
    this.#startUplink()
    this.#timer = setInterval(() => this.#tick(), this.#config.detect_interval)
  }

  /** Detaches first, so that the last epoch has everything; then drains, sends and waits for acknowledgements. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#interfaces?.stop()
    try {
      await this.#epochs?.flip()
      await this.#uplink?.stop(STOP_WAIT_MS)
      await this.#queue.stop(SPOOL_WAIT_MS)
    } finally {
      const { batches, records, unsaved } = this.#queue
      if (unsaved > 0) this.log.warn({ batches, records, unsaved }, 'stopped with unacknowledged batches')
      else if (batches > 0) this.log.info({ batches, records }, 'unacknowledged batches wait in the spool')
      this.#stopCounting()
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
    this.#epochs?.setLimits(this.#config.export_interval, this.#config.export_rate)
    this.#uplink?.setExportRate(this.#config.export_rate)
    this.#queue.setLimits({ maxBytes: this.#config.queue })
    if (applied.includes('networks')) this.#deltas?.setNetworks(this.#config.networks, [])
    if (applied.includes('detect_interval') && this.#timer) {
      clearInterval(this.#timer)
      this.#timer = setInterval(() => this.#tick(), this.#config.detect_interval)
    }
    if (this.#tls?.changed) {
      this.log.info('new certificates')
      this.#uplink?.reconnect()
    }
    if (restart.length > 0) this.log.warn({ keys: restart }, 'these changes take effect at the next start')
    this.log.info({ keys: applied }, 'configuration reloaded')
  }

  #startCounting(): void {
    const config = this.#config
    checkKernel()
    checkCapabilities()
    // Frames in several buffers; before 5.18 the kernel does not know them.
    const xdp = kernelAtLeast('5.18') ? 'flowdam_xdp_frags' : 'flowdam_xdp'
    const programs = config.direction === 'both' ? [xdp, 'flowdam_tc'] : [xdp]
    const kernel = loadFlowObject({
      path: config.bpf_object,
      flowSlots: config.flow_slots,
      innerKey: config.inner_key,
      programs,
    })
    this.#kernel = kernel
    this.#maps = FlowMaps.of(kernel.object, kernel.geometry)
    this.#grace = gracePeriod(kernel.object.map('part_states').fd)
    this.#deltas = new Deltas({
      maps: this.#maps,
      external: Interfaces.externalBytes(config.interfaces),
      networks: config.networks,
    })
    const deltas = this.#deltas
    this.#epochs = new Epochs({
      maps: this.#maps,
      grace: this.#grace,
      reader: { finish: (parity) => deltas.finish(parity, this.#config.export_interval) },
      emit: (batch) => {
        this.#queue.push({ bootId: this.bootId, seq: ++this.#lastSeq, ...batch })
        this.#uplink?.pump()
      },
      log: this.log,
      exportIntervalMs: config.export_interval,
      exportRate: config.export_rate,
    })
    this.#epochs.start()
    this.#interfaces = new Interfaces({
      wishes: config.interfaces,
      attach: config.attach,
      tap: config.mode === 'tap',
      xdpFd: kernel.object.program(xdp).fd,
      tcFd: config.direction === 'both' ? kernel.object.program('flowdam_tc').fd : undefined,
      table: new IfaceTable(this.#maps.control),
      log: this.log,
      changed: () => this.#uplink?.sendInterfaces(),
    })
    const missing = missingInterfaces(config.interfaces)
    if (missing) this.log.warn(describeError(missing))
    this.#interfaces.start()
    this.log.info(
      {
        cpus: kernel.geometry.nrCpus,
        flowSlots: config.flow_slots,
        grace: this.#grace.by,
        object: kernel.object.path,
      },
      'counting',
    )
  }

  #stopCounting(): void {
    this.#interfaces?.stop()
    this.#maps?.close()
    this.#grace?.close()
    this.#kernel?.object.close()
    this.#interfaces = undefined
    this.#maps = undefined
    this.#kernel = undefined
  }

  #startUplink(): void {
    const config = this.#config
    this.#uplink = new Uplink({
      targets: config.aggregator.map((address) => ({
        address,
        overTls: config.tls !== undefined,
        credentials: () => this.#tls?.credentials() ?? credentials.createInsecure(),
      })),
      queue: this.#queue,
      deltas: this.#deltas as Deltas,
      hello: () => this.#hello(),
      interfaces: () => this.#interfaces?.message() ?? { interfaces: [] },
      heartbeat: () => this.#heartbeat(),
      config: (told) => {
        if (this.#setNetworks(told)) this.#knownConfig?.save(told)
      },
      rules: ({ drop }) => {
        if (drop.length > 0) this.log.warn({ rules: drop.length }, 'drop rules are not enabled on this agent')
      },
      log: this.log,
      exportRate: config.export_rate,
    })
    this.#uplink.start()
  }

  #tick(): void {
    this.#deltas?.read()
    this.#uplink?.sendDeltas()
    this.#epochs?.tick()
  }

  #hello(): Hello {
    return {
      protocolVersion: PROTOCOL_VERSION,
      agentId: this.#config.id,
      bootId: this.bootId,
      version: VERSION,
      hostname: hostname(),
      kernel: release(),
      recordSize: RECORD_SIZE,
      interfaces: this.#interfaces?.message() ?? { interfaces: [] },
      nowUnixMs: Date.now(),
      oldestSeq: this.#queue.oldestSeq(this.bootId),
      ackedSeq: this.#queue.ackedSeq(this.bootId),
      runId: this.#runId,
    }
  }

  /** Whether they could be read; else the old ones stay. */
  #setNetworks({ networks, exemptRemote }: Config): boolean {
    try {
      this.#deltas?.setNetworks(networks, exemptRemote)
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
      lawViolations: this.#epochs?.stats.lawViolations ?? 0,
      cpuUs: user + system,
      rssBytes: process.memoryUsage.rss(),
      queuedBytes: this.#queue.bytes,
      spoolBytes: this.#queue.spoolBytes,
      spoolMaxBytes: this.#queue.spoolMaxBytes,
      oldestAgeMs: this.#queue.oldestAgeMs,
      spoolErrors: this.#queue.spoolErrors,
      maybeDoubledRecords: this.#uplink?.doubles.maybe ?? 0,
    }
  }

  /** Flow detail lost since start, by reason. Packets are never lost: overflow counts them. */
  droppedRecords(): { [reason: string]: number } {
    return Object.fromEntries(Object.entries(this.#queue.dropped).filter(([, records]) => records > 0))
  }
}
