// SPDX-License-Identifier: Apache-2.0
//
// The text that FastNetMon Community 1.2.4 gives its notify script on stdin (its strings, order and units; example in
// its docs/ATTACK_REPORT_EXAMPLE.md). Scripts that read the report or mail it on see what they know. The IPv6 address is
// right; FastNetMon prints 0.0.0.0. Where FastNetMon has a packet dump comes why it was banned, and what the attack's
// flows tell so far: at the first ban nothing yet, because a ban does not wait for them.
import type { Attack } from '../attacks/attack.js'
import type { AttackDetail, NamedAmount } from '../attacks/detail/detail.js'
import type { Ban } from '../bans/ban.js'
import type { DirectionRates } from '../detect/sample.js'
import type { Kind } from '../detect/slots.js'

/** Share of a direction's packets from which on a kind gives the attack its name, as in FastNetMon. */
const DOMINANT = 0.9

export type AttackType = 'syn_flood' | 'icmp_flood' | 'ip_fragmentation' | 'udp_flood' | 'unknown'

export function attackType(rates: DirectionRates): AttackType {
  const dominant = (kind: Kind) => rates[kind].pps > DOMINANT * rates.all.pps
  if (dominant('syn')) return 'syn_flood'
  if (dominant('icmp')) return 'icmp_flood'
  if (dominant('fragment')) return 'ip_fragmentation'
  if (dominant('udp')) return 'udp_flood'
  return 'unknown'
}

export function attackProtocol(rates: DirectionRates): 'tcp' | 'udp' | 'icmp' | 'unknown' {
  const kinds = ['tcp', 'udp', 'icmp'] as const
  const largest = kinds.reduce((a, b) => (rates[b].pps > rates[a].pps ? b : a))
  return rates[largest].pps > 0 ? largest : 'unknown'
}

const whole = (value: number) => String(Math.floor(value))
const mbps = (bps: number) => `${whole(bps / 1e6)} mbps`
const pps = (value: number) => `${whole(value)} packets per second`
const fps = (value: number) => `${whole(value)} flows per second`

/** The address of a /32 or /128, else the prefix. */
export function banAddress(ban: Ban): string {
  return ban.prefix.replace(ban.prefix.includes(':') ? /\/128$/ : /\/32$/, '')
}

export function fastnetmonReport(ban: Ban, attack?: Attack): string {
  const { rates, averages } = ban
  const own = rates[ban.direction]
  const lines = [
    `IP: ${banAddress(ban)}`,
    `Attack type: ${attackType(own)}`,
    `Initial attack power: ${pps(own.all.pps)}`,
    `Peak attack power: ${pps(own.all.pps)}`,
    `Attack direction: ${ban.direction}`,
    `Attack protocol: ${attackProtocol(own)}`,
  ]
  for (const [label, from] of [
    ['Total', rates],
    ['Average', averages],
  ] as const) {
    lines.push(
      `${label} incoming traffic: ${mbps(from.incoming.all.bps)}`,
      `${label} outgoing traffic: ${mbps(from.outgoing.all.bps)}`,
      `${label} incoming pps: ${pps(from.incoming.all.pps)}`,
      `${label} outgoing pps: ${pps(from.outgoing.all.pps)}`,
      `${label} incoming flows: ${fps(from.incoming.flows)}`,
      `${label} outgoing flows: ${fps(from.outgoing.flows)}`,
    )
  }
  for (const [label, kind] of [
    ['ip fragmented', 'fragment'],
    ['tcp', 'tcp'],
    ['syn tcp', 'syn'],
    ['udp', 'udp'],
    ['icmp', 'icmp'],
  ] as const) {
    lines.push(
      `Incoming ${label} traffic: ${mbps(rates.incoming[kind].bps)}`,
      `Outgoing ${label} traffic: ${mbps(rates.outgoing[kind].bps)}`,
      `Incoming ${label} pps: ${pps(rates.incoming[kind].pps)}`,
      `Outgoing ${label} pps: ${pps(rates.outgoing[kind].pps)}`,
    )
  }
  return `${lines.join('\n')}\n\nAverage packet size for incoming traffic: ${packetSize(averages.incoming)} bytes \nAverage packet size for outgoing traffic: ${packetSize(averages.outgoing)} bytes \n${reasons(ban, attack)}`
}

function packetSize({ all }: DirectionRates): string {
  return (all.pps > 0 ? all.bps / 8 / all.pps : 0).toFixed(1)
}

/** Ours, behind all that FastNetMon has. Empty for a ban by hand. */
function reasons(ban: Ban, attack: Attack | undefined): string {
  if (ban.who !== 'detector') return ''
  const lines = [
    `Reason: ${ban.reason}`,
    ...(attack?.rule ? [`Rule: ${attack.rule}`] : []),
    ...(ban.attackId ? [`Attack: ${ban.attackId}`] : []),
    ...(attack ? attackLines(attack) : []),
  ]
  return `\n${lines.join('\n')}\n`
}

function attackLines({ startedUnixMs, peak, packets, bytes, bursts, detail, direction }: Attack): string[] {
  const far = direction === 'incoming' ? 'source' : 'destination'
  const near = direction === 'incoming' ? 'destination' : 'source'
  return [
    `Began: ${new Date(startedUnixMs).toISOString()}${bursts > 1 ? `, ${bursts} bursts` : ''}`,
    `Peak: ${pps(peak.pps)}, ${mbps(peak.bps)}`,
    `So far: ${packets} packets, ${bytes} bytes`,
    ...(detail ? detailLines(detail, far, near) : []),
  ]
}

function detailLines(detail: AttackDetail, far: string, near: string): string[] {
  const { packets, missingPackets, sources, spoofing, sizes, ttl } = detail
  const list = (amounts: readonly NamedAmount[]) =>
    amounts.map(({ name, packets: some }) => `${name} (${share(some, packets + missingPackets)})`).join(', ')
  return [
    `Flows: ${detail.flows} with ${packets} packets`,
    ...(missingPackets > 0 ? [`Detail missing for ${missingPackets} packets: flow table full`] : []),
    `Different ${far} addresses: about ${sources.distinct}`,
    ...(spoofing ? [`Addresses with a sign of spoofing: ${share(spoofing.suspect, 1)}`] : []),
    `Top ${far} addresses: ${list(sources.addresses)}`,
    `Top ${far} networks: ${list(sources.prefixes)}`,
    `Top ${far} ports: ${list(sources.ports)}`,
    `Top ${near} ports: ${list(detail.targetPorts)}`,
    `Protocols: ${list(detail.protocols)}`,
    ...(detail.tcpFlags.length > 0 ? [`TCP flags: ${list(detail.tcpFlags)}`] : []),
    `Packet sizes: ${sizes.min} to ${sizes.max} bytes`,
    `TTL: ${ttl.min} to ${ttl.max}, ${ttl.distinct} different`,
  ]
}

function share(part: number, all: number): string {
  return `${all > 0 ? Math.round((part / all) * 100) : 0} %`
}
