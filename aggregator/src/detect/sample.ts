// SPDX-License-Identifier: Apache-2.0
import {
  bytesSlot,
  DIRECTION_SLOTS,
  DIRECTIONS,
  type Direction,
  FLOWS_SLOT,
  KINDS,
  type Kind,
  packetsSlot,
} from './slots.js'

/** Per second. bps are bits. */
export interface KindRates {
  pps: number
  bps: number
}

export interface DirectionRates extends Record<Kind, KindRates> {
  flows: number
}

export type HostRates = Record<Direction, DirectionRates>

/** Rates from one row of sums over `ms` milliseconds. */
export function ratesOf(sums: Float64Array, base: number, ms: number): HostRates {
  const perSecond = 1000 / ms
  const direction = (index: number): DirectionRates => {
    const at = base + index * DIRECTION_SLOTS
    const kinds = KINDS.map((kind) => [
      kind,
      {
        pps: (sums[at + packetsSlot(kind)] as number) * perSecond,
        bps: (sums[at + bytesSlot(kind)] as number) * 8 * perSecond,
      },
    ])
    return {
      ...(Object.fromEntries(kinds) as Record<Kind, KindRates>),
      flows: (sums[at + FLOWS_SLOT] as number) * perSecond,
    }
  }
  return { incoming: direction(0), outgoing: direction(1) }
}

/** The larger of two measurements for each rate. */
export function largerRates(a: HostRates, b: HostRates): HostRates {
  const merge = (x: DirectionRates, y: DirectionRates): DirectionRates => {
    const kinds = KINDS.map((kind) => [
      kind,
      { pps: Math.max(x[kind].pps, y[kind].pps), bps: Math.max(x[kind].bps, y[kind].bps) },
    ])
    return {
      ...(Object.fromEntries(kinds) as Record<Kind, KindRates>),
      flows: Math.max(x.flows, y.flows),
    }
  }
  return { incoming: merge(a.incoming, b.incoming), outgoing: merge(a.outgoing, b.outgoing) }
}

/** What was measured, as far as `found` has it: it may come from a file. */
export function wholeRates(found: unknown): HostRates {
  const part = (of: unknown, key: string): unknown =>
    typeof of === 'object' && of !== null ? (of as Record<string, unknown>)[key] : undefined
  const number = (of: unknown, key: string): number => {
    const value = part(of, key)
    return typeof value === 'number' && value >= 0 ? value : 0
  }
  const direction = (from: unknown): DirectionRates => {
    const kinds = KINDS.map((kind) => {
      const rates = part(from, kind)
      return [kind, { pps: number(rates, 'pps'), bps: number(rates, 'bps') }]
    })
    return { ...(Object.fromEntries(kinds) as Record<Kind, KindRates>), flows: number(from, 'flows') }
  }
  return { incoming: direction(part(found, 'incoming')), outgoing: direction(part(found, 'outgoing')) }
}

export const NO_RATES: HostRates = ratesOf(new Float64Array(DIRECTION_SLOTS * DIRECTIONS.length), 0, 1000)
