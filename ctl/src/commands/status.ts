// SPDX-License-Identifier: Apache-2.0
import { formatBytes, formatDuration } from '@flowdam/common'
import type { Drop, GetStatusResponse, LedgerTotals, StoreStatus } from '@flowdam/proto'
import { Command } from 'commander'
import { examples } from '../help.js'
import { type Field, phrase, renderFields } from '../output/fields.js'
import type { Style } from '../output/terminal.js'
import { formatCount, formatRates, formatTime } from '../output/units.js'
import { inSession, type World } from '../session.js'

export function statusCommand(world: World): Command {
  return new Command('status')
    .description('the aggregator, its agents, traffic, bans, store, and everything lost')
    .addHelpText('after', examples(['flowdam status', ''], ['flowdam status --json', 'for a program']))
    .action((_options: object, command: Command) =>
      inSession(world, command, async (session) => {
        const { client } = session
        const status = await client.call(client.status.getStatus.bind(client.status), {})
        if (session.json) return session.writeJson(status)
        session.write(renderFields(describe(status, client.server, session.now()), session.terminal))
      }),
    )
}

function describe(status: GetStatusResponse, server: string, nowMs: number): Field[] {
  const up = formatDuration(Math.max(0, nowMs - status.startedUnixMs))
  return [
    { name: 'Aggregator', value: `${status.version} at ${server}, up ${up}` },
    agents(status),
    { name: 'Incoming', value: formatRates(status.incoming) },
    { name: 'Outgoing', value: formatRates(status.outgoing) },
    { name: 'Addresses', value: `${formatCount(status.trackedAddresses)} with traffic` },
    bans(status),
    ...stopped(status),
    ...clock(status),
    ...(status.store ? [store(status.store), spool(status.store)] : []),
    { name: 'Flows', value: stages(status.flows) },
    ...(status.ledger ? [ledger(status.ledger)] : []),
    drops(status.drops),
  ]
}

function agents({ agentsConnected: connected, agentsWaiting: waiting }: GetStatusResponse): Field {
  if (connected === 0) return { name: 'Agents', value: 'none connected: nothing is counted', style: 'yellow' }
  const parts = [`${connected} connected`]
  if (!waiting) return { name: 'Agents', value: parts.join('') }
  const { records, oldestAgeMs, fullestAgent, fullestFill, gapBatches, elsewhereBatches } = waiting
  if (records > 0)
    parts.push(`${formatCount(records)} records still to come, the oldest ${age(oldestAgeMs)} old`)
  if (fullestFill >= WORTH_SAYING)
    parts.push(`spool of ${fullestAgent} ${Math.round(fullestFill * 100)} % full`)
  if (gapBatches > 0) parts.push(`${formatCount(gapBatches)} batches lost in agents`)
  if (elsewhereBatches > 0) parts.push(`${formatCount(elsewhereBatches)} batches at another aggregator`)
  const full = fullestFill >= NEARLY_FULL
  return { name: 'Agents', value: parts.map(phrase).join(', '), ...(full && { style: 'yellow' as const }) }
}

/** Of a spool: below, nobody needs to know. */
const WORTH_SAYING = 0.05
const NEARLY_FULL = 0.8

function age(ms: number): string {
  return formatDuration(ms < 1000 ? Math.round(ms) : Math.round(ms / 1000) * 1000)
}

/** Somebody set the aggregator's clock: times before and after do not compare. */
function clock({ clockSteps }: GetStatusResponse): Field[] {
  if (clockSteps === 0) return []
  return [{ name: 'Clock', value: `was set ${clockSteps}× since the start`, style: 'yellow' }]
}

function bans({ bansActive, dryRun, attacksActive }: GetStatusResponse): Field {
  const note = dryRun ? ' (dry run: hooks are not executed)' : ''
  return {
    name: 'Bans',
    value: `${bansActive} active${note}, attacks now ${attacksActive}`,
    ...(bansActive > 0 && { style: 'red' as const }),
  }
}

/** Said aloud while the detector bans nothing. */
function stopped({ banControl }: GetStatusResponse): Field[] {
  if (!banControl || banControl.state === 'running' || banControl.state === '') return []
  const { state, who, reason, sinceUnixMs } = banControl
  const why = reason === '' ? '' : `: ${reason}`
  const value = `${state.toUpperCase()} by ${who} since ${formatTime(sinceUnixMs)}${why}\nThe detector bans nothing until 'flowdam bans resume'.`
  return [{ name: 'Detector', value, style: 'red' }]
}

const STORE_STYLE: Record<string, Style> = { ok: 'green', degraded: 'yellow', failed: 'red' }

function store(store: StoreStatus): Field {
  const parts = [
    `${store.engine} ${store.state}`,
    `${formatCount(store.rowsStored)} rows`,
    `${formatCount(store.rowsPerSecond)} rows/s`,
    ...(store.insertMs > 0 ? [`${formatDuration(Math.round(store.insertMs))} an insert`] : []),
    `${formatDuration(store.lagMs)} behind`,
    `${formatCount(store.parts)} parts`,
  ]
  const retries = Object.entries(store.retries).filter(([, count]) => count > 0)
  const failed = retries.map(([reason, count]) => phrase(`${reason} ${formatCount(count)}`)).join(', ')
  const lines = [parts.map(phrase).join(', ')]
  if (failed !== '') lines.push(`inserts that failed: ${failed}`)
  if (store.lastError !== '' && store.state !== 'ok') lines.push(store.lastError)
  const style = STORE_STYLE[store.state]
  return { name: 'Store', value: lines.join('\n'), ...(style && { style }) }
}

function spool(store: StoreStatus): Field {
  const full = store.spoolMaxBytes > 0 ? Math.round((store.spoolBytes / store.spoolMaxBytes) * 100) : 0
  const segments = `${store.spoolSegments} ${store.spoolSegments === 1 ? 'segment' : 'segments'}`
  const limit = store.spoolMaxBytes > 0 ? ` of ${formatBytes(store.spoolMaxBytes)} (${full} %)` : ''
  const note =
    store.spoolState === 'failed'
      ? 'DROPS RECORDS'
      : store.spoolState === 'degraded'
        ? 'takes no more: agents keep what they have'
        : ''
  const value = [segments, formatBytes(store.spoolBytes) + limit, ...(note === '' ? [] : [note])]
  const style = STORE_STYLE[store.spoolState]
  return {
    name: 'Spool',
    value: value.map(phrase).join(', '),
    ...(style && style !== 'green' && { style }),
  }
}

function stages(flows: GetStatusResponse['flows']): string {
  const order = ['received', 'duplicate', 'spooled', 'stored']
  const known = order.filter((stage) => stage in flows)
  const others = Object.keys(flows).filter((stage) => !order.includes(stage))
  const parts = [...known, ...others.sort()].map((stage) => `${stage} ${formatCount(flows[stage] ?? 0)}`)
  return parts.length === 0 ? 'none yet' : parts.map(phrase).join(', ')
}

/** The law of the counters: what the kernel saw is what became of it. A difference is a defect, so it is said aloud. */
function ledger(totals: LedgerTotals): Field {
  const parts: [string, number, number][] = [
    ['in flows', totals.flowPackets, totals.flowBytes],
    ['overflow', totals.overflowPackets, totals.overflowBytes],
    ['not IP', totals.notIpPackets, totals.notIpBytes],
    ['malformed', totals.malformedPackets, totals.malformedBytes],
  ]
  const packets = parts.reduce((sum, [, count]) => sum + count, 0)
  const bytes = parts.reduce((sum, [, , count]) => sum + count, 0)
  const shown = parts.map(([name, count]) => phrase(`${name} ${formatCount(count)}`)).join(', ')
  const seen = `${formatCount(totals.seenPackets)} packets seen (${formatBytes(totals.seenBytes)}): ${shown}`
  const dropped = totals.droppedPackets > 0 ? `; ${formatCount(totals.droppedPackets)} dropped by rules` : ''
  const gap = totals.seenPackets - packets
  if (gap === 0 && totals.seenBytes === bytes) return { name: 'Ledger', value: seen + dropped }
  const difference = `${formatCount(gap)} packets, ${formatCount(totals.seenBytes - bytes)} bytes`
  return { name: 'Ledger', value: `${seen}${dropped}\nDOES NOT ADD UP: ${difference} missing`, style: 'red' }
}

function drops(drops: Drop[]): Field {
  const lost = drops.filter(({ count }) => count > 0)
  if (lost.length === 0) return { name: 'Lost', value: 'nothing', style: 'green' }
  const value = lost.map(({ stage, reason, count }) => `${stage}: ${reason} ${formatCount(count)}`).join('\n')
  return { name: 'Lost', value, style: 'red' }
}
