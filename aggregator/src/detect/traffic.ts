// SPDX-License-Identifier: Apache-2.0
import { vectorName } from '@flowdam/proto'
import { NO_ROW } from './address-table.js'
import { ENTRY_WORDS, EntryWord, type Slice } from './slice.js'
import { addToSlots, DIRECTION_SLOTS, DIRECTIONS, type Direction, type SlotLayout } from './slots.js'

// Cold: what detections and attack records say about traffic, read again from the messages that windows hold.

export interface Amount {
  packets: number
  bytes: number
}

/** Names of the delta classes by number; they are exclusive. */
export const TRAFFIC_CLASSES = ['other', 'tcp', 'tcp_syn', 'udp', 'icmp', 'tcp_other'] as const
export type TrafficClass = (typeof TRAFFIC_CLASSES)[number]

/** What some traffic of one direction is made of. Sums, not rates. */
export interface TrafficMix extends Amount {
  flows: number
  classes: Record<TrafficClass, Amount>
  /** Fragments and what a rule dropped cut across the classes. */
  fragments: Amount
  dropped: Amount
  /** By the name of the reflector's port, most bytes first. */
  vectors: ({ name: string } & Amount)[]
}

/** Calls back with the index of each entry of the slice that is meant. */
export type Which = (slice: Slice, visit: (index: number) => void) => void

export function ofRow(row: number): Which {
  return ({ rows }, visit) => {
    for (let i = rows.indexOf(row); i >= 0; i = rows.indexOf(row, i + 1)) visit(i)
  }
}

export function ofCells(cells: Iterable<number>, highWater: number): Which {
  const marked = new Uint8Array(highWater)
  for (const cell of cells) marked[cell] = 1
  return (slice, visit) => {
    for (let i = 0; i < slice.count; i++) {
      if (slice.rows[i] !== NO_ROW && marked[slice.cells[i] as number] === 1) visit(i)
    }
  }
}

/** Where the entries of many rows or cells are, found in one pass of each slice that is asked for. */
export class EntryIndex {
  readonly #by: 'rows' | 'cells'
  readonly #wanted: ReadonlySet<number>
  readonly #slices = new Map<Slice, Map<number, number[]>>()

  constructor(by: 'rows' | 'cells', wanted: Iterable<number>) {
    this.#by = by
    this.#wanted = new Set(wanted)
  }

  of(keys: Iterable<number>): Which {
    return (slice, visit) => {
      const places = this.#placesIn(slice)
      for (const key of keys) for (const index of places.get(key) ?? []) visit(index)
    }
  }

  #placesIn(slice: Slice): Map<number, number[]> {
    let places = this.#slices.get(slice)
    if (places) return places
    places = new Map()
    this.#slices.set(slice, places)
    const keys = slice[this.#by]
    for (let i = 0; i < slice.count; i++) {
      const key = keys[i] as number
      if (slice.rows[i] === NO_ROW || !this.#wanted.has(key)) continue
      const known = places.get(key)
      if (known) known.push(i)
      else places.set(key, [i])
    }
    return places
  }
}

interface Entry extends Amount {
  direction: number
  deltaClass: number
  marks: number
  vector: number
  flows: number
}

function* entriesOf(slices: readonly Slice[], which: Which): IterableIterator<Entry> {
  for (const slice of slices) {
    const found: number[] = []
    which(slice, (index) => found.push(index))
    for (const index of found) {
      const word = (offset: number) => slice.words[index * ENTRY_WORDS + offset] ?? 0
      const kinds = word(EntryWord.kinds)
      yield {
        direction: kinds & 1,
        deltaClass: (kinds >>> 8) & 0xff,
        marks: (kinds >>> 16) & 0xff,
        vector: kinds >>> 24,
        flows: word(EntryWord.flows),
        packets: word(EntryWord.packets) + word(EntryWord.packets + 1) * 2 ** 32,
        bytes: word(EntryWord.bytes) + word(EntryWord.bytes + 1) * 2 ** 32,
      }
    }
  }
}

/** A row's worth of sums over these slices. */
export function sumEntries(slices: readonly Slice[], which: Which, layout: SlotLayout): Float64Array {
  const sums = new Float64Array(layout.slots)
  for (const { direction, deltaClass, marks, vector, packets, bytes, flows } of entriesOf(slices, which)) {
    addToSlots(sums, direction * DIRECTION_SLOTS, deltaClass, marks, packets, bytes, flows)
    const at = layout.vectorSlots[vector] as number
    if (at === 0) continue
    sums[at + direction * 2] = (sums[at + direction * 2] as number) + packets
    sums[at + direction * 2 + 1] = (sums[at + direction * 2 + 1] as number) + bytes
  }
  return sums
}

export function mixOf(slices: readonly Slice[], which: Which, direction: Direction): TrafficMix {
  const mix = emptyMix()
  const vectors = new Map<number, Amount>()
  const side = DIRECTIONS.indexOf(direction)
  for (const entry of entriesOf(slices, which)) {
    if (entry.direction !== side) continue
    add(mix, entry)
    mix.flows += entry.flows
    add(mix.classes[TRAFFIC_CLASSES[entry.deltaClass] ?? 'other'], entry)
    if (entry.marks & 1) add(mix.fragments, entry)
    if (entry.marks & 2) add(mix.dropped, entry)
    if (entry.vector === 0) continue
    const amount = vectors.get(entry.vector) ?? { packets: 0, bytes: 0 }
    add(amount, entry)
    vectors.set(entry.vector, amount)
  }
  mix.vectors = [...vectors]
    .map(([number, amount]) => ({ name: vectorName(number) ?? `vector_${number}`, ...amount }))
    .sort((a, b) => b.bytes - a.bytes)
  return mix
}

export function emptyMix(): TrafficMix {
  const none = (): Amount => ({ packets: 0, bytes: 0 })
  const classes = Object.fromEntries(TRAFFIC_CLASSES.map((name) => [name, none()]))
  return {
    ...none(),
    flows: 0,
    classes: classes as Record<TrafficClass, Amount>,
    fragments: none(),
    dropped: none(),
    vectors: [],
  }
}

/** Adds `more` to `mix`. */
export function addMix(mix: TrafficMix, more: TrafficMix): void {
  add(mix, more)
  mix.flows += more.flows
  for (const name of TRAFFIC_CLASSES) add(mix.classes[name], more.classes[name])
  add(mix.fragments, more.fragments)
  add(mix.dropped, more.dropped)
  for (const vector of more.vectors) {
    const known = mix.vectors.find(({ name }) => name === vector.name)
    if (known) add(known, vector)
    else mix.vectors.push({ ...vector })
  }
  mix.vectors.sort((a, b) => b.bytes - a.bytes)
}

function add(to: Amount, { packets, bytes }: Amount): void {
  to.packets += packets
  to.bytes += bytes
}
