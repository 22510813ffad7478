// SPDX-License-Identifier: Apache-2.0
import { formatAddress, isIpv4, type Prefix, PrefixMap } from '@flowdam/common'
import type { DirectionRates, HostRates, KindRates } from '../detect/sample.js'
import type { Kind } from '../detect/slots.js'
import { KINDS, SIDES } from './tables.js'

/** What the detector has of an address. */
export interface HostTraffic {
  address: Uint8Array
  rates: HostRates
}

type Row = Record<string, string | number>
type Family = 4 | 6

/** FastNetMon's names of what we count. */
const OURS: Readonly<Record<(typeof KINDS)[number] | 'dropped', Kind>> = {
  tcp: 'tcp',
  udp: 'udp',
  icmp: 'icmp',
  fragmented: 'fragment',
  tcp_syn: 'syn',
  dropped: 'dropped',
}
/** FastNetMon's other two directions: between ours, and of nobody that is ours. We do not count them. */
const NOT_OURS = ['internal', 'other']

/** The sums of one moment: hosts go through it one by one, networks and totals come out at the end. */
export class MetricRows {
  readonly #at: number
  readonly #networks: PrefixMap<number>
  readonly #prefixes: readonly Prefix[]
  readonly #networkSums: (HostRates | undefined)[]
  readonly #totals: Record<Family, HostRates> = { 4: noRates(), 6: noRates() }

  constructor(networks: readonly Prefix[], unixMs: number) {
    this.#at = Math.floor(unixMs / 1000)
    this.#prefixes = networks
    this.#networks = new PrefixMap(networks.map((prefix, index) => [prefix, index] as const))
    this.#networkSums = networks.map(() => undefined)
  }

  /** Adds a host, and gives its row; undefined when it has no traffic. */
  host({ address, rates }: HostTraffic): { table: string; row: Row } | undefined {
    if (SIDES.every((side) => rates[side].all.pps === 0 && rates[side].flows === 0)) return undefined
    const family = isIpv4(address) ? 4 : 6
    addRates(this.#totals[family], rates)
    const index = this.#networks.lookup(address)
    if (index !== undefined) {
      this.#networkSums[index] ??= noRates()
      addRates(this.#networkSums[index], rates)
    }
    const row = { ...this.#head('host', formatAddress(address)), ...bothSides(rates), ...flowsOf(rates) }
    return { table: named('host_metrics', family), row }
  }

  /** Networks with traffic. */
  networks(): { table: string; row: Row }[] {
    return this.#networkSums.flatMap((rates, index) => {
      const prefix = this.#prefixes[index]
      if (!rates || !prefix) return []
      const family = isIpv4(prefix.bytes) ? 4 : 6
      const row = { ...this.#head('network', prefix.text), ...bothSides(rates) }
      return [{ table: named('network_metrics', family), row }]
    })
  }

  totals(): { table: string; row: Row }[] {
    const all = noRates()
    addRates(all, this.#totals[4])
    addRates(all, this.#totals[6])
    const tables: [string, HostRates][] = [
      ['total_metrics', all],
      ['total_metrics_ipv4', this.#totals[4]],
      ['total_metrics_ipv6', this.#totals[6]],
    ]
    return tables.flatMap(([table, rates]) =>
      [...SIDES, ...NOT_OURS].map((direction) => {
        const side = direction === 'incoming' || direction === 'outgoing' ? rates[direction] : noSide()
        return { table, row: { ...this.#head('direction', direction), ...oneSide(side) } }
      }),
    )
  }

  #head(key: string, value: string): Row {
    return { metricDateTime: this.#at, [key]: value }
  }
}

function named(table: string, family: Family): string {
  return family === 4 ? table : `${table}_ipv6`
}

function bothSides(rates: HostRates): Row {
  const row: Row = {}
  for (const side of SIDES) {
    put(row, '', `_${side}`, rates[side].all)
    for (const kind of KINDS) put(row, `${kind}_`, `_${side}`, rates[side][OURS[kind]])
  }
  return row
}

function flowsOf(rates: HostRates): Row {
  return {
    flows_incoming: Math.round(rates.incoming.flows),
    flows_outgoing: Math.round(rates.outgoing.flows),
  }
}

function oneSide(rates: DirectionRates): Row {
  const row: Row = { flows: Math.round(rates.flows) }
  put(row, '', '', rates.all)
  for (const kind of [...KINDS, 'dropped'] as const) put(row, `${kind}_`, '', rates[OURS[kind]])
  return row
}

function put(row: Row, before: string, after: string, { pps, bps }: KindRates): void {
  row[`${before}packets${after}`] = Math.round(pps)
  row[`${before}bits${after}`] = Math.round(bps)
}

function noSide(): DirectionRates {
  const none = (): KindRates => ({ pps: 0, bps: 0 })
  return {
    all: none(),
    tcp: none(),
    syn: none(),
    udp: none(),
    icmp: none(),
    fragment: none(),
    dropped: none(),
    flows: 0,
  }
}

function noRates(): HostRates {
  return { incoming: noSide(), outgoing: noSide() }
}

function addRates(to: HostRates, more: HostRates): void {
  for (const side of SIDES) {
    to[side].flows += more[side].flows
    for (const kind of ['all', ...Object.values(OURS)] as const) {
      to[side][kind].pps += more[side][kind].pps
      to[side][kind].bps += more[side][kind].bps
    }
  }
}
