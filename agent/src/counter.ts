// SPDX-License-Identifier: Apache-2.0
import { release } from 'node:os'
import { describeError, type Logger } from '@flowdam/common'
import { removeLeftover } from './attach/egress.js'
import { Interfaces, missingInterfaces } from './attach/interfaces.js'
import type { AgentConfig } from './config.js'
import { type EpochBatch, Epochs } from './count/epochs.js'
import { Deltas } from './detect/deltas.js'
import { DropRules } from './kernel/drop-rules.js'
import type { FlowMaps } from './kernel/flow-maps.js'
import { type GracePeriod, gracePeriod } from './kernel/grace-period.js'
import { IfaceTable } from './kernel/iface-table.js'
import { Pins } from './kernel/pins.js'
import {
  checkCapabilities,
  checkKernel,
  isUntriedKernel,
  kernelAtLeast,
  OLDEST_TRIED_KERNEL,
} from './kernel/requirements.js'
import { type Counting, loadCounting, takeOverCounting } from './kernel/takeover.js'

const RECOVERED = 'drained the epochs that an agent before this one had ended and left undone'

export interface CounterOptions {
  config: AgentConfig
  log: Logger
  /** Of earlier boots, by index: the spool may hold records that name them. */
  knownInterfaces: readonly string[]
  /** A batch of flows with its name. */
  emit: (batch: EpochBatch, bootId: number, seq: number) => void
  /** Everything of this boot up to this seq survives our death. */
  durableSeq: () => number
  /** An interface came, went, or is attached otherwise than before. */
  interfacesChanged: () => void
}

/** What counts: programs in the kernel, attached to interfaces, and the reading of their maps. */
export class Counter {
  readonly counting: Counting
  readonly epochs: Epochs
  readonly deltas: Deltas
  readonly interfaces: Interfaces
  /** Absent when the configuration does not allow them. */
  readonly dropRules: DropRules | undefined
  readonly #options: CounterOptions
  readonly #grace: GracePeriod
  readonly #pins: Pins | undefined
  #exportIntervalMs: number

  /** Loads and attaches. Throws what kernel/ and attach/ throw, and leaves nothing of its own behind then. */
  static start(options: CounterOptions): Counter {
    const { config, log } = options
    checkKernel()
    if (isUntriedKernel()) {
      log.warn({ kernel: release() }, `Flowdam was not tried on kernels before ${OLDEST_TRIED_KERNEL}`)
    }
    checkCapabilities()
    // Frames in several buffers; before 5.18 the kernel does not know them.
    const xdp = kernelAtLeast('5.18') ? 'flowdam_xdp_frags' : 'flowdam_xdp'
    const load = {
      path: config.bpf_object,
      flowSlots: config.flow_slots,
      innerKey: config.inner_key,
      dropRules: config.drop_rules,
      programs: config.direction === 'both' ? [xdp, 'flowdam_tc'] : [xdp],
    }
    const pins = config.keep_attached ? pinsOf(config) : undefined
    pins?.open()
    const counting = pins ? takeOverCounting(pins, load, Date.now()) : loadCounting(load, Date.now())
    try {
      const counter = new Counter(options, counting, xdp, pins)
      counter.#start()
      return counter
    } catch (error) {
      counting.close()
      if (counting.fresh) pins?.remove('.')
      throw error
    }
  }

  private constructor(options: CounterOptions, counting: Counting, xdp: string, pins: Pins | undefined) {
    const { config, log, emit, durableSeq, interfacesChanged } = options
    const { kernel, maps, state, sequence } = counting
    sequence.remember(
      options.knownInterfaces,
      config.interfaces.map(({ name }) => name),
    )
    const wishes = config.interfaces.map((wish) => ({ ...wish, index: sequence.indexOf(wish.name) }))
    this.counting = counting
    this.#options = options
    this.#exportIntervalMs = config.export_interval
    this.#pins = pins
    this.#grace = gracePeriod(kernel.object.map('part_states').fd)
    this.deltas = new Deltas({
      maps,
      external: Interfaces.externalBytes(wishes),
      networks: config.networks,
    })
    this.epochs = new Epochs({
      ...{ maps, state, sequence, grace: this.#grace, log },
      reader: { finish: (parity) => this.deltas.finish(parity, this.#exportIntervalMs) },
      emit: (batch, seq) => emit(batch, sequence.bootId, seq),
      ...(pins && { durableSeq }),
      exportIntervalMs: config.export_interval,
      exportRate: config.export_rate,
    })
    const ruleFd = (name: string) => kernel.object.map(name).fd
    this.dropRules = config.drop_rules
      ? new DropRules({
          drop_exact: ruleFd('drop_exact'),
          drop_v4: ruleFd('drop_v4'),
          drop_v6: ruleFd('drop_v6'),
        })
      : undefined
    this.interfaces = new Interfaces({
      ...{ wishes, pins, log },
      names: sequence.names,
      attach: config.attach,
      tap: config.mode === 'tap',
      xdpFd: kernel.object.program(xdp).fd,
      tcFd: config.direction === 'both' ? kernel.object.program('flowdam_tc').fd : undefined,
      table: new IfaceTable(maps.control),
      changed: interfacesChanged,
    })
  }

  get maps(): FlowMaps {
    return this.counting.maps
  }
  /** Grows with each start, unless the agent takes over: together with a batch's seq it names the batch for ever. */
  get bootId(): number {
    return this.counting.sequence.bootId
  }

  /** After start, when batches can be queued: what an agent before us counted and did not get rid of. */
  async recover(): Promise<void> {
    const { left } = this.counting
    if (!this.#pins) return
    await this.epochs.recover(left, () => {
      for (const { folder, close } of left.splice(0)) {
        close()
        this.#pins?.remove(folder)
      }
    })
    const { recovered, records } = this.epochs.stats
    if (recovered > 0) this.#options.log.info({ epochs: recovered, records }, RECOVERED)
  }

  setLimits(exportIntervalMs: number, exportRate: number): void {
    this.#exportIntervalMs = exportIntervalMs
    this.epochs.setLimits(exportIntervalMs, exportRate)
  }

  /** Detaches (with keep_attached: leaves attached) and ends the epoch. */
  async stop(): Promise<void> {
    this.interfaces.stop()
    await this.epochs.flip()
  }

  /** After the last batch had its chance to become durable. */
  async close(): Promise<void> {
    this.dropRules?.stop()
    await this.epochs.settle()
    this.#grace.close()
    this.counting.close()
  }

  #start(): void {
    const { config, log } = this.#options
    const { kernel, takenOver, left, lostEpochs } = this.counting
    if (takenOver) {
      this.epochs.resume()
      this.deltas.skip()
    } else {
      this.epochs.start()
    }
    const missing = missingInterfaces(config.interfaces)
    if (missing) log.warn(describeError(missing))
    this.interfaces.start()
    if (lostEpochs > 0) {
      log.error(
        { lostEpochs },
        'the pinned maps have another layout: what an agent before counted there and had not sent is lost',
      )
    }
    log.info(
      {
        cpus: kernel.geometry.nrCpus,
        flowSlots: config.flow_slots,
        grace: this.#grace.by,
        object: kernel.object.path,
        ...(this.#pins && { pins: this.#pins.root, takenOver, replaced: left.length + lostEpochs }),
      },
      'counting',
    )
  }
}

/** Where this agent's pins are. */
export function pinsOf(config: AgentConfig): Pins {
  return new Pins(config.pin_path ?? Pins.defaultRoot(config.id))
}

/** Filters of a killed agent on the interfaces of this configuration, where the kernel has no TCX. */
export function removeFilters(config: AgentConfig, ifNameToIndex: (name: string) => number): void {
  for (const { name } of config.interfaces) {
    const ifindex = ifNameToIndex(name)
    if (ifindex !== 0) removeLeftover(ifindex)
  }
}
