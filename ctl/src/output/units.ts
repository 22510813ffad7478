// SPDX-License-Identifier: Apache-2.0
import { formatDuration, formatRate } from '@flowdam/common'
import type { Rates } from '@flowdam/proto'

/** `12.3 kpps`. */
export function formatPps(pps: number): string {
  return withUnit(pps, 'pps')
}

/** `1.20 Gbit/s`. */
export function formatBps(bps: number): string {
  return withUnit(bps, 'bit/s')
}

/** `350 flows/s`. */
export function formatFlowRate(flows: number): string {
  return withUnit(flows, 'flows/s')
}

/** A rate of `metric` as thresholds name them: pps, bps, flows, syn_pps, … */
export function formatMetric(metric: string, value: number): string {
  if (metric === 'bps' || metric.endsWith('_bps')) return formatBps(value)
  if (metric === 'flows' || metric.endsWith('_flows')) return formatFlowRate(value)
  return formatPps(value)
}

export function formatRates(rates: Rates | undefined): string {
  const { pps, bps, flows } = rates ?? { pps: 0, bps: 0, flows: 0 }
  return `${formatPps(pps)}, ${formatBps(bps)}, ${formatFlowRate(flows)}`
}

/** A whole number with thin grouping that can be read and still be selected as one word: `12,345,678`. */
export function formatCount(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+(?!\d))/g, ',')
}

/** `2026-11-22 04:49:07`, in the machine's time zone. */
export function formatTime(unixMs: number): string {
  const time = new Date(unixMs)
  const date = [time.getFullYear(), time.getMonth() + 1, time.getDate()].map(twoDigits).join('-')
  return `${date} ${formatClock(unixMs)}`
}

/** `04:49:07`. */
export function formatClock(unixMs: number): string {
  const time = new Date(unixMs)
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map(twoDigits).join(':')
}

/** Within the last day the clock is enough; before it the date comes along. */
export function formatRecent(unixMs: number, nowMs: number): string {
  return Math.abs(nowMs - unixMs) < 86_400_000 ? formatClock(unixMs) : formatTime(unixMs)
}

export function formatAgo(unixMs: number, nowMs: number): string {
  return `${formatDuration(Math.max(0, nowMs - unixMs))} ago`
}

function withUnit(value: number, unit: string): string {
  // Fractions of a packet are noise of the window's length.
  const rounded = value >= 10 ? Math.round(value) : Math.round(value * 10) / 10
  const text = formatRate(rounded, unit)
  return text.replace(/(\.\d*?)0+ /, '$1 ').replace('. ', ' ')
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0')
}
