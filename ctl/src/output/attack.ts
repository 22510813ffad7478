// SPDX-License-Identifier: Apache-2.0
//
// One attack in full, for people.
import { stripVTControlCharacters } from 'node:util'
import { formatBytes, formatDuration } from '@flowdam/common'
import {
  type Attack,
  type AttackDetail,
  Direction,
  type SpoofSigns,
  type TrafficShare,
  type TrafficSource,
} from '@flowdam/proto'
import { type Field, renderFields } from './fields.js'
import { flowColumns } from './flow.js'
import { directionWord } from './json.js'
import { type Column, renderTable } from './table.js'
import type { Terminal } from './terminal.js'
import { formatCount, formatMetric, formatRates, formatTime } from './units.js'

/** `carpet_bombing (dns_amplification)`. */
export function typeWord({ type, traffic }: Attack): string {
  return type === traffic ? type : `${type} (${traffic})`
}

export function lasted({ startedUnixMs, endedUnixMs }: Attack, nowMs: number): string {
  const time = formatDuration(Math.max(0, (endedUnixMs || nowMs) - startedUnixMs))
  return endedUnixMs === 0 ? `${time} so far` : time
}

export function renderAttack(attack: Attack, nowMs: number, terminal: Terminal): string {
  const { detail } = attack
  const fields = [...summary(attack, nowMs), ...(detail ? flowFields(detail) : [])]
  const parts = [renderFields(fields, terminal)]
  if (!detail) return `${parts[0]}\nNo flows of it came yet.\n`
  const incoming = attack.direction === Direction.DIRECTION_INCOMING
  const [far, near] = incoming ? ['SOURCE', 'DESTINATION'] : ['DESTINATION', 'SOURCE']
  const { addresses = [], prefixes = [], ports = [] } = detail.sources ?? {}
  const half: Terminal = { ...terminal, width: halfOf(terminal) }
  const table = (title: string, rows: readonly TrafficSource[]) =>
    rows.length === 0 ? '' : renderTable(shareColumns(title, detail.packets), rows, half)
  parts.push(
    beside(table(far, addresses), table(`${far} NETWORK`, prefixes), terminal),
    beside(table(`${far} PORT`, ports), table(`${near} PORT`, detail.targetPorts), terminal),
  )
  if (detail.sample.length > 0) {
    parts.push(`Some of its flows:\n${renderTable(flowColumns(detail.sample), detail.sample, terminal)}`)
  }
  return parts.filter((part) => part !== '').join('\n')
}

function summary(attack: Attack, nowMs: number): Field[] {
  const { direction, target, metric, threshold, value, endedUnixMs, endReason } = attack
  const over = `${formatMetric(metric, value)}, threshold ${formatMetric(metric, threshold)}`
  const whose = attack.hostgroup ? `, hostgroup ${attack.hostgroup}` : ''
  return [
    { name: 'Target', value: `${target}, ${directionWord(direction)}` },
    { name: 'Type', value: typeWord(attack), style: 'red' },
    { name: 'Fired', value: `${metric}: ${over}${whose}` },
    ...(attack.rule ? [{ name: 'Rule', value: attack.rule }] : []),
    { name: 'Began', value: formatTime(attack.startedUnixMs) },
    {
      name: 'Lasted',
      value: `${lasted(attack, nowMs)}${attack.bursts > 1 ? `, ${attack.bursts} bursts` : ''}`,
    },
    ...(endedUnixMs === 0 ? [] : [{ name: 'Ended', value: `${formatTime(endedUnixMs)}: ${endReason}` }]),
    { name: 'Peak', value: formatRates(attack.peak) },
    ...(endedUnixMs === 0 ? [{ name: 'Now', value: formatRates(attack.now) }] : []),
    { name: 'Total', value: `${formatCount(attack.packets)} packets, ${formatBytes(attack.bytes)}` },
    { name: 'Made of', value: shares([...attack.classes, ...attack.vectors, attack.fragments]) },
    { name: 'Bans', value: attack.bans.length === 0 ? 'none' : attack.bans.join('\n') },
    ...(attack.level ? [{ name: 'Level', value: attack.level }] : []),
    { name: 'Id', value: attack.id },
  ]
}

function flowFields(detail: AttackDetail): Field[] {
  const { packets, missingPackets, missingBytes, sources, spoofing } = detail
  const all = packets + missingPackets
  return [
    { name: 'Flows', value: `${formatCount(detail.flows)} with ${formatCount(packets)} packets` },
    ...(missingPackets > 0
      ? [
          {
            name: 'Missing',
            value: `detail of ${formatCount(missingPackets)} packets (${percent(missingPackets / all)}), ${formatBytes(missingBytes)}: the agent's flow table was full`,
          },
        ]
      : []),
    { name: 'Sources', value: `about ${formatCount(sources?.distinct ?? 0)}` },
    ...(spoofing ? [{ name: 'Spoofed?', value: spoofWords(spoofing) }] : []),
    { name: 'Protocols', value: amounts(detail.protocols, all) },
    ...(detail.tcpFlags.length > 0
      ? [{ name: 'TCP flags', value: `${amounts(detail.tcpFlags, packets)} of all packets` }]
      : []),
    { name: 'Sizes', value: sizes(detail) },
    {
      name: 'TTL',
      value: `${detail.ttlMin} to ${detail.ttlMax}, ${detail.ttlDistinct} different: ${amounts(detail.ttls.slice(0, 5), packets)}`,
    },
  ]
}

function spoofWords({ sampled, suspect, singlePacket, ttlDisagrees, bogon }: SpoofSigns): string {
  return `${percent(suspect)} of ${formatCount(sampled)} sources looked at show a sign: ${percent(singlePacket)} one packet in all, ${percent(ttlDisagrees)} TTLs that disagree, ${percent(bogon)} impossible addresses`
}

function sizes({ sizeMin, sizeMax, sizes: counts, packets, bytes }: AttackDetail): string {
  const parts = counts
    .filter((count) => count.packets >= packets / 100)
    .map(({ upTo, packets: some }) => `${upTo > 0 ? `≤ ${upTo}` : 'above'} ${percent(some / packets)}`)
  const mean = packets > 0 ? Math.round(bytes / packets) : 0
  return `${sizeMin} to ${sizeMax} bytes, mean ${mean}${parts.length > 0 ? `: ${parts.join(', ')}` : ''}`
}

/** `udp 98 %, dns 97 %`: of the packets, what is at least a hundredth. */
function shares(all: readonly (TrafficShare | undefined)[]): string {
  const large = all.filter((share) => share !== undefined).filter(({ packets }) => packets >= 0.01)
  return large.map(({ name, packets }) => `${name} ${percent(packets)}`).join(', ') || 'not known'
}

function amounts(list: readonly TrafficSource[], all: number): string {
  const large = list.filter(({ packets }) => packets >= all / 100)
  return large.map(({ name, packets }) => `${name} ${percent(packets / all)}`).join(', ') || 'none above 1 %'
}

function percent(share: number): string {
  return share > 0 && share < 0.005 ? '< 1 %' : `${Math.round(share * 100)} %`
}

function shareColumns(title: string, all: number): Column<TrafficSource>[] {
  return [
    { title, cell: ({ name }) => name, shrink: 'middle' },
    { title: 'PACKETS', cell: ({ packets }) => formatCount(packets), align: 'right' },
    {
      title: 'SHARE',
      cell: ({ packets }) => percent(all > 0 ? packets / all : 0),
      align: 'right',
      dropOrder: 1,
    },
    { title: 'BYTES', cell: ({ bytes }) => formatBytes(bytes), align: 'right', dropOrder: 2 },
  ]
}

const GAP = 4
/** Narrower terminals show tables one below the other. */
const SIDE_BY_SIDE = 100
/** Two tables far apart are harder to read, and a pipe has no width. */
const WIDEST = 110

function halfOf({ width }: Terminal): number {
  return Math.floor((Math.min(width, WIDEST) - GAP) / 2)
}

function beside(left: string, right: string, terminal: Terminal): string {
  if (terminal.width < SIDE_BY_SIDE || left === '' || right === '') {
    return [left, right].filter((part) => part !== '').join('\n')
  }
  const [lines, others] = [left, right].map((text) => text.trimEnd().split('\n')) as [string[], string[]]
  const column = halfOf(terminal) + GAP
  const rows = Array.from({ length: Math.max(lines.length, others.length) }, (_, row) => {
    const line = lines[row] ?? ''
    const visible = stripVTControlCharacters(line).length
    return `${line}${' '.repeat(Math.max(1, column - visible))}${others[row] ?? ''}`.trimEnd()
  })
  return `${rows.join('\n')}\n`
}
