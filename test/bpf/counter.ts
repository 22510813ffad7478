// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process'
import {
  type BpfProgram,
  type FlowObject,
  type FlowObjectOptions,
  LEDGER_FIELDS,
  LEDGER_SIZE,
  type LedgerField,
  MAX_IFACES,
  OVERFLOW_SLOTS,
  openFlowObject,
  REASONS,
  type Reason,
  type TestRun,
  type TestRunOptions,
} from '@flowdam/agent'
import { FlowMaps } from '@flowdam/agent/internal/kernel/flow-maps'
import { IfaceTable } from '@flowdam/agent/internal/kernel/iface-table'
import { coarseClock } from '@flowdam/agent/internal/kernel/libbpf'
import { decodeRecord, type FlowRecord, RECORD_SIZE } from '@flowdam/proto'

export type Ledger = Record<LedgerField, number>
export type ProgramName = 'flowdam_xdp' | 'flowdam_xdp_frags' | 'flowdam_tc'

/** What the programs have counted in one epoch, over all parts and interfaces. */
export interface Counted {
  ledger: Ledger
  flows: FlowRecord[]
  overflow: FlowRecord[]
  reasons: Partial<Record<Reason, number>>
}

/** BPF_PROG_TEST_RUN's programs see this interface: lo. */
const IFINDEX = 1
export const IFACE = 3

export interface CounterOptions extends Partial<FlowObjectOptions> {
  ifaceFlags?: number
  /** CPUs that the programs have parts for; 0 makes every CPU a stray one. */
  cpus?: number
  /** Slots of each flow log that are taken from the start: a small log, where maps are whole pages. */
  occupied?: number
  /** The test runs programs on several CPUs. */
  manyCpus?: boolean
}

/** The loaded object with one interface, to run packets through and to read what was counted. */
export class Counter {
  readonly object: FlowObject['object']
  readonly maps: FlowMaps
  readonly #occupied: number

  constructor(options: CounterOptions = {}) {
    const { ifaceFlags = 0, cpus, manyCpus = false, occupied = 0, ...objectOptions } = options
    if (!manyCpus) stayOnOneCpu()
    const path = process.env['FLOWDAM_BPF_OBJECT']
    const opened = openFlowObject({
      flowSlots: 1024,
      path,
      ...objectOptions,
      ...(cpus !== undefined && { nrCpus: cpus }),
    })
    this.object = opened.object
    this.#occupied = occupied
    if (cpus === 0) {
      // Maps without a single entry cannot be made.
      for (const name of ['flow_log', 'flow_index']) opened.object.map(name).setMaxEntries(64)
    }
    opened.object.load()
    this.maps = FlowMaps.of(opened.object, opened.geometry)
    new IfaceTable(this.maps.control).set(IFINDEX, IFACE, ifaceFlags)
    for (const parity of [0, 1]) this.clear(parity)
    this.maps.startEpoch(0, coarseClock())
  }

  program(name: ProgramName): BpfProgram {
    return this.object.program(name)
  }

  run(name: ProgramName, packet: Uint8Array, options?: TestRunOptions): TestRun {
    return this.program(name).testRun(packet, options)
  }

  /** The other parity from now on. Nothing runs meanwhile, so there is nothing to wait for. */
  flip(): number {
    const old = this.maps.parity
    this.maps.startEpoch(1 - old, coarseClock())
    return old
  }

  counted(parity = this.maps.parity): Counted {
    const ledger = Object.fromEntries(LEDGER_FIELDS.map((field) => [field, 0])) as Ledger
    const counted: Counted = { ledger, flows: [], overflow: [], reasons: {} }
    for (let part = 0; part < this.maps.geometry.nrParts; part++) this.#add(counted, parity, part)
    return counted
  }

  #add(counted: Counted, parity: number, part: number): void {
    const used = this.maps.flowsUsed(parity, part)
    if (used > 0) addRecords(counted.flows, this.maps.flows(parity, part, used).bytes, used)
    addRecords(counted.overflow, this.maps.overflow(parity, part).bytes, OVERFLOW_SLOTS)
    const ledgers = this.maps.ledgers(parity, part)
    for (let iface = 0; iface < MAX_IFACES; iface++) {
      for (const [i, field] of LEDGER_FIELDS.entries()) {
        const at = (iface * LEDGER_SIZE) / 4 + i * 2
        counted.ledger[field] += (ledgers[at] ?? 0) + (ledgers[at + 1] ?? 0) * 2 ** 32
      }
    }
    const state = this.maps.partState(parity, part)
    for (const [i, reason] of REASONS.entries()) {
      const count = state[2 + i * 2] ?? 0
      if (count > 0) counted.reasons[reason] = (counted.reasons[reason] ?? 0) + count
    }
  }

  clear(parity = this.maps.parity): void {
    const { nrParts, flowParts } = this.maps.geometry
    for (let part = 0; part < nrParts; part++) {
      this.maps.clear(parity, part)
      if (part < flowParts) this.maps.partState(parity, part)[0] = this.#occupied
    }
  }

  close(): void {
    this.maps.close()
    this.object.close()
  }
}

/** Each CPU has a flow log of its own: a test that counts flows must not move between them. Only this thread. */
function stayOnOneCpu(): void {
  const allowed = spawnSync('taskset', ['-cp', String(process.pid)], { encoding: 'utf8' }).stdout
  const first = /: (\d+)/.exec(allowed)?.[1]
  if (first !== undefined) spawnSync('taskset', ['-cp', first, String(process.pid)])
}

function addRecords(records: FlowRecord[], bytes: Uint8Array, slots: number): void {
  for (let slot = 0; slot < slots; slot++) {
    const record = decodeRecord(bytes, slot * RECORD_SIZE)
    if (record.packets > 0) records.push(record)
  }
}

/** Where the law fails, in words; empty when it holds. */
export function lawBreaches({ ledger, flows, overflow }: Counted): string[] {
  const sum = (records: FlowRecord[], field: 'packets' | 'bytes') =>
    records.reduce((total, record) => total + record[field], 0)
  const breaches: string[] = []
  const compare = (what: string, left: number, right: number) => {
    if (left !== right) breaches.push(`${what}: ${left} is not ${right}`)
  }
  for (const unit of ['Packets', 'Bytes'] as const) {
    const parts = (['flow', 'overflow', 'notIp', 'malformed'] as const).map(
      (name) => ledger[`${name}${unit}`],
    )
    compare(
      `seen ${unit}`,
      ledger[`seen${unit}`],
      parts.reduce((total, part) => total + part, 0),
    )
    const field = unit === 'Packets' ? 'packets' : 'bytes'
    compare(`flow ${unit}`, ledger[`flow${unit}`], sum(flows, field))
    compare(`overflow ${unit}`, ledger[`overflow${unit}`], sum(overflow, field))
  }
  return breaches
}
