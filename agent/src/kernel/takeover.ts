// SPDX-License-Identifier: Apache-2.0
import { FlowdamError } from '@flowdam/common'
import { EpochState, type MapsShape } from '../count/epoch-state.js'
import type { EpochSource } from '../count/epochs.js'
import { Sequence } from '../count/sequence.js'
import { FlowMaps } from './flow-maps.js'
import { type FlowObject, type FlowObjectOptions, loadFlowObject, randomHashKeys } from './flow-object.js'
import {
  CONTROL_SIZE,
  type Geometry,
  geometry,
  INDEX_BUCKET_SIZE,
  LEDGER_SIZE,
  mapEntries,
  PART_STATE_SIZE,
} from './layout.js'
import * as libbpf from './libbpf.js'
import type { Pins } from './pins.js'
import { onlineCpus } from './requirements.js'
import { SharedMap } from './shared-map.js'

const SEQUENCE = 'sequence'
const STATE = 'state'
/** Folders of maps: the newest is in use, older ones wait to be drained. */
const MAPS = /^maps-(\d+)$/
/** What the programs share over a restart; packet_copies and the settings belong to one load. */
const SHARED_MAPS = ['flow_log', 'flow_index', 'overflow_log', 'part_states', 'ledgers', 'control'] as const
const RULE_MAPS = ['drop_exact', 'drop_v4', 'drop_v6'] as const
const RECORD_BYTES = 64

/** Maps of another shape that an agent before us used, read without an object. */
export interface LeftMaps extends EpochSource {
  /** Their folder, to be removed when their last batch is durable. */
  folder: string
  close(): void
}

/** Programs in the kernel, with the maps they count into and what is known about these. */
export interface Counting {
  kernel: FlowObject
  maps: FlowMaps
  state: EpochState
  sequence: Sequence
  /** Whether the maps are those of an agent before us: then an epoch is going on in them. */
  takenOver: boolean
  /** Nothing was pinned before. */
  fresh: boolean
  /** To be drained once no link leads to their programs any more. */
  left: LeftMaps[]
  /** Epochs that cannot be read: their maps' layout is not ours. */
  lostEpochs: number
  close(): void
}

/** Loads for this process's life: nothing is pinned. */
export function loadCounting(options: FlowObjectOptions, bootId: number): Counting {
  const kernel = loadFlowObject(options)
  const sequence = new Sequence()
  sequence.begin(bootId)
  const maps = FlowMaps.of(kernel.object, kernel.geometry)
  const close = () => {
    maps.close()
    kernel.object.close()
  }
  return {
    ...{ kernel, maps, sequence, close },
    ...{ state: new EpochState(), takenOver: false, fresh: true, left: [], lostEpochs: 0 },
  }
}

/**
 * Loads this build's programs over the pinned maps of an agent before us if they have the shape that is asked for,
 * else over new ones, and pins these. The old programs go on counting until their links are given the new ones.
 * FD_AGENT_RUNNING, FD_PIN, and what loadFlowObject throws.
 */
export function takeOverCounting(pins: Pins, options: FlowObjectOptions, bootId: number): Counting {
  const closing: (() => void)[] = []
  const close = () => {
    for (const one of closing.splice(0).reverse()) one()
  }
  try {
    const { sequence, fresh } = openSequence(pins, bootId, closing)
    const { known, lostEpochs } = openGenerations(pins, closing)
    const sizes = geometry(options.nrCpus ?? onlineCpus(), options.flowSlots)
    const newest = known.at(-1)
    const fits = newest && newest.shape.nrCpus === sizes.nrCpus && newest.shape.flowSlots === sizes.flowSlots
    const left = (fits ? known.slice(0, -1) : known).map((one) => one.left())
    closing.push(() => {
      for (const one of left) one.close()
    })
    const hashKeys = fits ? newest.shape.hashKeys : (options.hashKeys ?? randomHashKeys())
    const kernel = loadFlowObject({ ...options, hashKeys, ...(fits && { reuse: newest.fds }) })
    closing.push(() => kernel.object.close())
    const state = fits ? newest.state : pinGeneration(pins, kernel, hashKeys, closing)
    const maps = FlowMaps.of(kernel.object, kernel.geometry)
    closing.push(() => maps.close())
    return { kernel, maps, state, sequence, takenOver: fits === true, fresh, left, lostEpochs, close }
  } catch (error) {
    close()
    throw error
  }
}

/** The living process that uses these pins, and the packets in them that nobody has sent: what removing them loses. */
export function inspectPins(pins: Pins): { owner: number; packets: number } {
  const closing: (() => void)[] = []
  try {
    const fd = pins.get(SEQUENCE)
    if (fd === undefined) return { owner: 0, packets: 0 }
    const sequence = new Sequence(openMemory(SEQUENCE, fd, Sequence.BYTES, closing))
    let packets = 0
    for (const one of openGenerations(pins, closing).known) {
      const { maps, close } = one.left()
      packets += seenPackets(maps)
      close()
    }
    return { owner: sequence.readable ? sequence.owner : 0, packets }
  } finally {
    for (const one of closing.reverse()) one()
  }
}

function seenPackets(maps: FlowMaps): number {
  let packets = 0
  for (let part = 0; part < maps.geometry.nrParts * 2; part++) {
    const ledgers = maps.ledgers(part & 1, part >> 1)
    for (let at = 0; at < ledgers.length; at += LEDGER_SIZE / 4) {
      packets += (ledgers[at] as number) + (ledgers[at + 1] as number) * 2 ** 32
    }
  }
  return packets
}

function openSequence(pins: Pins, bootId: number, closing: (() => void)[]) {
  let fd = pins.get(SEQUENCE)
  const fresh = fd === undefined
  fd ??= made(libbpf.createSharedMemory('fd_sequence', Sequence.BYTES))
  const sequence = new Sequence(openMemory(SEQUENCE, fd, Sequence.BYTES, closing))
  if (!sequence.readable) sequence.begin(bootId)
  sequence.claim()
  if (fresh) pins.pin(fd, SEQUENCE)
  return { sequence, fresh }
}

interface Generation {
  state: EpochState
  shape: MapsShape
  fds: ReadonlyMap<string, number>
  left(): LeftMaps
}

/** Oldest first. What was not completed, or cannot be read, is removed. */
function openGenerations(pins: Pins, closing: (() => void)[]) {
  const known: Generation[] = []
  let lostEpochs = 0
  const folders = pins.list().filter((name) => MAPS.test(name))
  for (const folder of folders.sort((a, b) => numberOf(a) - numberOf(b))) {
    const generation = openGeneration(pins, folder, closing)
    if (generation?.state.layoutFits) {
      known.push(generation)
      continue
    }
    // The programs may still be counting there: the maps go when the last link leads elsewhere.
    if (generation?.state.readable) lostEpochs++
    pins.remove(folder)
  }
  return { known, lostEpochs }
}

function openGeneration(pins: Pins, folder: string, closing: (() => void)[]): Generation | undefined {
  const at = pins.at(folder)
  const stateFd = at.get(STATE)
  if (stateFd === undefined) return undefined
  const state = new EpochState(openMemory(STATE, stateFd, EpochState.BYTES, closing))
  const fds = new Map<string, number>()
  for (const name of [...SHARED_MAPS, ...RULE_MAPS]) {
    const fd = at.get(name)
    if (fd === undefined) return undefined
    fds.set(name, fd)
    closing.push(() => void libbpf.closeFd(fd))
  }
  const { shape } = state
  const left = () => {
    const sizes = geometry(shape.nrCpus, shape.flowSlots)
    const shared = new Map(
      SHARED_MAPS.map((name) => [name, new SharedMap(name, fds.get(name) ?? -1, mapBytes(name, sizes))]),
    )
    const maps = FlowMaps.of({ map: (name) => shared.get(name as SharedName) as SharedMap }, sizes)
    const close = () => {
      maps.close()
      for (const map of shared.values()) map.unmap()
    }
    return { maps, state, folder, close }
  }
  return { state, shape, fds, left }
}

function pinGeneration(
  pins: Pins,
  kernel: FlowObject,
  hashKeys: Uint32Array,
  closing: (() => void)[],
): EpochState {
  const last = Math.max(0, ...pins.list().map(numberOf))
  const folder = pins.folder(`maps-${last + 1}`)
  for (const name of [...SHARED_MAPS, ...RULE_MAPS]) folder.pin(kernel.object.map(name).fd, name)
  const fd = made(libbpf.createSharedMemory('fd_epochs', EpochState.BYTES))
  const state = new EpochState(openMemory(STATE, fd, EpochState.BYTES, closing))
  folder.pin(fd, STATE)
  state.complete({ ...kernel.geometry, hashKeys })
  return state
}

type SharedName = (typeof SHARED_MAPS)[number]

function mapBytes(name: SharedName, sizes: Geometry): number {
  const entries = mapEntries(sizes)
  switch (name) {
    case 'flow_log':
    case 'overflow_log':
      return entries[name] * RECORD_BYTES
    case 'flow_index':
      return entries[name] * INDEX_BUCKET_SIZE
    case 'part_states':
      return entries[name] * PART_STATE_SIZE
    case 'ledgers':
      return entries[name] * LEDGER_SIZE
    case 'control':
      return CONTROL_SIZE
  }
}

function openMemory(name: string, fd: number, bytes: number, closing: (() => void)[]): ArrayBuffer {
  const map = new SharedMap(name, fd, bytes)
  closing.push(() => {
    map.unmap()
    libbpf.closeFd(fd)
  })
  return map.memory()
}

function made(fd: number): number {
  if (fd >= 0) return fd
  throw new FlowdamError('FD_BPF_MEMORY', `cannot make a map: ${libbpf.errorName(fd)}`)
}

function numberOf(folder: string): number {
  return Number(MAPS.exec(folder)?.[1] ?? 0)
}
