// SPDX-License-Identifier: Apache-2.0
import { formatBytes, formatDuration, formatRate } from '@flowdam/common'
import type { Ban, GetStatusResponse, HostRates, Rates } from '@flowdam/proto'
import type { Routes, Snapshot } from './snapshot.js'

/** The demo's own story, beside what the API says. */
export interface Story {
  title: string
  elapsedMs: number
  thresholdPps: number
  /** Incoming packets per second, one value a second, oldest first. */
  history: readonly number[]
  /** What happened, oldest first. */
  events: readonly string[]
  routes: Routes
  /** Undefined where there is no router to ask. */
  router: string | undefined
  /** Commands to try in another terminal. */
  hints: readonly string[]
}

const BARS = '▁▂▃▄▅▆▇█'
const EVENT_LINES = 8
const FEWEST_EVENTS = 4
/** Bars of the curve, a second each. */
const CURVE = 60

export interface Room {
  columns: number
  rows: number
}

/**
 * The picture as lines, without colours or cursor movements. Where it does not fit, hosts go first, then older events, then
 * the hints: what happens now is what people look at.
 */
export function drawScreen(
  { status, hosts, bans, attachMode }: Snapshot,
  story: Story,
  { columns, rows }: Room = { columns: Number.POSITIVE_INFINITY, rows: Number.POSITIVE_INFINITY },
): string[] {
  const head = [
    `Flowdam · ${story.title} · ${formatDuration(story.elapsedMs)} · Ctrl-C takes everything away again`,
    '',
    `Traffic in     ${rates(status.incoming)}`,
    `        out    ${rates(status.outgoing)}`,
    curveLine(story, columns),
    `Counted        ${count(status.ledger?.seenPackets ?? 0)} packets, ${formatBytes(status.ledger?.seenBytes ?? 0)} by XDP (${attachMode}); not in a flow: ${count(lost(status))}`,
    `Store          ${storeLine(status)}`,
    `Drops          ${dropsLine(status)}`,
  ]
  const active = [
    '',
    `Active bans    ${bans.length === 0 ? 'none' : bans.length}${status.dryRun ? '  (dry run: no hook is executed)' : ''}`,
    ...bans.flatMap((ban) => banLines(ban, story)),
  ]
  const hints = block('Try, in another terminal', story.hints)
  const wanted = Math.min(story.events.length, EVENT_LINES)
  // Two lines for the heading of what happened.
  const left = rows - head.length - active.length - 2
  const shownHints = left - Math.min(wanted, FEWEST_EVENTS) >= hints.length ? hints : []
  const shownEvents = Math.max(0, Math.min(wanted, left - shownHints.length))
  const forHosts = left - shownHints.length - shownEvents - 2
  const topHosts = [
    '',
    `${'Top hosts'.padEnd(28)}${'packets/s'.padStart(12)}${'bit/s'.padStart(12)}${'flows/s'.padStart(10)}`,
    ...hosts.slice(0, Math.max(0, forHosts)).map((host) => hostLine(host)),
  ]
  return [
    ...head,
    ...(forHosts > 0 ? topHosts : []),
    ...active,
    '',
    'What happened',
    ...story.events.slice(story.events.length - shownEvents).map((event) => `  ${event}`),
    ...shownHints,
  ]
}

function block(title: string, lines: readonly string[]): string[] {
  return lines.length > 0 ? ['', title, ...lines.map((line) => `  ${line}`)] : []
}

/** The last minute; on a narrow terminal each bar stands for the highest of two seconds or more. */
function curveLine({ history, thresholdPps }: Story, columns: number): string {
  const before = '        in     '
  const after = `  last minute, threshold ${formatRate(thresholdPps, 'pps')}`
  const wide = `${after} per address`
  const room = columns - before.length - after.length
  const seconds = Math.max(1, Math.ceil(CURVE / Math.max(10, room)))
  const bars = CURVE / seconds
  const end = before.length + bars + wide.length <= columns ? wide : after
  return `${before}${sparkline(highestOf(history, seconds), Math.floor(bars))}${end}`
}

function highestOf(values: readonly number[], together: number): number[] {
  const groups: number[] = []
  for (let end = values.length; end > 0; end -= together) {
    groups.unshift(Math.max(...values.slice(Math.max(0, end - together), end)))
  }
  return groups
}

/** One line for where no terminal can redraw. */
export function drawLine({ status, bans }: Snapshot, story: Story): string {
  const parts = [
    formatDuration(story.elapsedMs),
    `in ${rates(status.incoming)}`,
    `out ${rates(status.outgoing)}`,
    `rows ${count(status.store?.rowsStored ?? 0)}`,
    `drops ${dropsLine(status)}`,
    `bans ${bans.map((ban) => `${ban.prefix} (${routeText(ban, story)})`).join(', ') || 'none'}`,
  ]
  return parts.join(' | ')
}

/** Bars for the last `width` values, the highest of them full. */
export function sparkline(values: readonly number[], width: number): string {
  const shown = values.slice(-width)
  const highest = Math.max(1, ...shown)
  const bars = shown.map((value) => BARS[Math.min(7, Math.floor((value / highest) * 8))] ?? ' ')
  return bars.join('').padStart(width)
}

function rates(value: Rates | undefined): string {
  const { pps, bps, flows } = value ?? { pps: 0, bps: 0, flows: 0 }
  return `${formatRate(pps, 'pps')}, ${formatRate(bps, 'bit/s')}, ${formatRate(flows, 'flows/s')}`
}

function lost({ ledger }: GetStatusResponse): number {
  return ledger ? ledger.seenPackets - ledger.flowPackets : 0
}

function storeLine({ store }: GetStatusResponse): string {
  if (!store) return 'not known'
  const lag = store.lagMs > 0 ? `, newest ${formatDuration(store.lagMs)} ago` : ''
  const error = store.lastError === '' ? '' : `; ${store.lastError}`
  return `${count(store.rowsStored)} rows in ClickHouse (${store.engine}, ${store.state}), ${formatRate(store.rowsPerSecond)} rows/s${lag}${error}`
}

function dropsLine({ drops }: GetStatusResponse): string {
  const some = drops.filter((drop) => drop.count > 0)
  return some.map((drop) => `${drop.stage} ${drop.reason} ${count(drop.count)}`).join(', ') || 'none'
}

function hostLine({ address, incoming, banned }: HostRates): string {
  const { pps, bps, flows } = incoming ?? { pps: 0, bps: 0, flows: 0 }
  const numbers = [formatRate(pps).padStart(12), formatRate(bps).padStart(12), formatRate(flows).padStart(10)]
  return `  ${address.padEnd(26)}${numbers.join('')}${banned ? '  BANNED' : ''}`
}

function banLines(ban: Ban, story: Story): string[] {
  const hook = ban.hooks.at(-1)
  const done = hook ? `hook ${hook.hook}: ${hook.result} in ${hook.durationMs} ms` : 'no hook'
  return [
    `  ${ban.prefix}  ${ban.metric} ${formatRate(ban.value)} over ${formatRate(ban.threshold)}; ${done}`,
    `      ${routeText(ban, story)}`,
  ]
}

function routeText(ban: Ban, { routes, router }: Story): string {
  if (router === undefined) return 'dry run, announced nowhere'
  const route = routes.get(ban.prefix)
  if (!route) return `${router} has no route yet`
  const communities = route.communities.map((value) => `${value >>> 16}:${value & 0xffff}`)
  return `${router}: ${route.prefix} next hop ${route.nextHop}, community ${communities.join(' ')}`
}

function count(value: number): string {
  return value.toLocaleString('en-US').replaceAll(',', ' ')
}
