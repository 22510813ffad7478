// SPDX-License-Identifier: Apache-2.0
import { formatBytes, formatDuration } from '@flowdam/common'
import type { Flow } from '@flowdam/proto'
import { protocolName } from '../input/protocol.js'
import type { Column } from './table.js'
import { formatClock, formatCount, formatTime } from './units.js'

const ICMP = 1
const TCP = 6
const ICMPV6 = 58

/** RFC 9293 section 3.1, from bit 0. */
const TCP_FLAG_LETTERS = 'FSRPAUEC'

/** As the flow record's `marks`, from bit 0. */
const MARK_WORDS = ['fragment', 'dropped', 'tunnelled', 'sampled', 'overflow']
const MARK_OVERFLOW = 16

/** `SA`: every flag that some packet of the flow carried. */
export function tcpFlagLetters(flags: number): string {
  return Array.from(TCP_FLAG_LETTERS)
    .filter((_, bit) => flags & (1 << bit))
    .join('')
}

export function markWords(marks: number): string[] {
  return MARK_WORDS.filter((_, bit) => marks & (1 << bit))
}

/** Wide enough for what these flows need: dates only if they are of several days. */
export function flowColumns(flows: readonly Flow[]): Column<Flow>[] {
  const days = new Set(flows.map(({ timeUnixMs }) => new Date(timeUnixMs).toDateString()))
  const today = days.size === 1 && days.has(new Date().toDateString())
  return columns(today ? formatClock : formatTime)
}

/** For flows that are of now. */
export function liveFlowColumns(): Column<Flow>[] {
  return columns(formatClock)
}

function columns(time: (unixMs: number) => string): Column<Flow>[] {
  return [
    { title: 'TIME', cell: ({ timeUnixMs }) => time(timeUnixMs), dropOrder: 3 },
    { title: 'PROTO', cell: ({ protocol }) => protocolName(protocol) },
    { title: 'SOURCE', cell: (flow) => endpoint(flow, 'src'), shrink: 'middle' },
    { title: 'DESTINATION', cell: (flow) => endpoint(flow, 'dst'), shrink: 'middle' },
    { title: 'PACKETS', cell: ({ packets }) => formatCount(packets), align: 'right' },
    { title: 'BYTES', cell: ({ bytes }) => formatBytes(bytes), align: 'right' },
    { title: 'INFO', cell: info, dropOrder: 2, shrink: 'end' },
    { title: 'LASTED', cell: ({ durationMs }) => formatDuration(durationMs), align: 'right', dropOrder: 5 },
    { title: 'VLAN', cell: ({ vlan }) => (vlan === 0 ? '' : String(vlan)), align: 'right', dropOrder: 6 },
    { title: 'TTL', cell: ({ ttl }) => (ttl === 0 ? '' : String(ttl)), align: 'right', dropOrder: 7 },
    { title: 'FROM', cell: counter, dropOrder: 8 },
  ]
}

function endpoint(flow: Flow, side: 'src' | 'dst'): string {
  const [address, port] = side === 'src' ? [flow.srcAddr, flow.srcPort] : [flow.dstAddr, flow.dstPort]
  // An overflow record sums many flows; its other side is "::" (ingest.proto).
  if (flow.marks & MARK_OVERFLOW && address === '::') return '(many)'
  if (flow.protocol === ICMP || flow.protocol === ICMPV6 || port === 0) return address
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

function info(flow: Flow): string {
  const parts = markWords(flow.marks)
  if (flow.protocol === TCP && flow.tcpFlags !== 0) parts.unshift(tcpFlagLetters(flow.tcpFlags))
  const isIcmp = flow.protocol === ICMP || flow.protocol === ICMPV6
  if (isIcmp && !(flow.marks & MARK_OVERFLOW)) parts.unshift(icmpName(flow))
  return parts.join(' ')
}

/** IANA's names of the types that an edge sees most; the numbers otherwise. */
function icmpName({ protocol, srcPort: type, dstPort: code }: Flow): string {
  const names: Record<number, string> =
    protocol === ICMP
      ? { 0: 'echo-reply', 3: 'unreachable', 8: 'echo', 11: 'time-exceeded' }
      : {
          1: 'unreachable',
          2: 'too-big',
          3: 'time-exceeded',
          128: 'echo',
          129: 'echo-reply',
          135: 'neighbour',
        }
  const name = names[type] ?? `type ${type}`
  return code === 0 ? name : `${name}/${code}`
}

function counter({ agent, interface: name, direction }: Flow): string {
  if (agent === '' && name === '') return ''
  return `${agent} ${name} ${direction}`.trim()
}
