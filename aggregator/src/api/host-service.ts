// SPDX-License-Identifier: Apache-2.0
import {
  FlowdamError,
  formatAddress,
  formatDuration,
  formatPrefix,
  type Logger,
  parseAddress,
} from '@flowdam/common'
import type { GetHostResponse, HostServiceServer, TopHostsRequest } from '@flowdam/proto'
import type { Bans } from '../bans/bans.js'
import type { Detector } from '../detect/detector.js'
import type { HostView, TopOrder } from '../detect/views.js'
import { basisOf } from './basis.js'
import { apiBan, apiDirection, apiHost, directionFrom } from './convert.js'
import { badField, inField } from './errors.js'
import { unary } from './status-error.js'
import { repeat } from './watch.js'

const DEFAULT_TOP = 20
const MOST_TOP = 1000
const ORDERS: readonly string[] = ['pps', 'bps', 'flows'] satisfies TopOrder[]

export function hostService(detector: Detector, bans: Bans, log: Logger): HostServiceServer {
  const top = ({ by, limit, direction }: Pick<TopHostsRequest, 'by' | 'limit' | 'direction'>) => {
    const order = by || 'pps'
    if (!ORDERS.includes(order)) throw badField('by', `by is '${by}'; known are ${ORDERS.join(', ')}`)
    const most = Math.min(limit || DEFAULT_TOP, MOST_TOP)
    const hosts = detector.top(order as TopOrder, most, directionFrom(direction))
    return hosts.map((host) => apiHost(host, bans.covering(parseAddress(host.address)) !== undefined))
  }
  const one = ({ address }: { address: string }) => hostOf(address, detector, bans)
  return {
    topHosts: unary(log, (request) => ({ hosts: top(request) })),
    getHost: unary(log, one),
    watchTopHosts: (call) => repeat(call, log, (request) => ({ atUnixMs: Date.now(), hosts: top(request) })),
    watchHost: (call) => repeat(call, log, (request) => ({ atUnixMs: Date.now(), host: one(request) })),
  }
}

function hostOf(address: string, detector: Detector, bans: Bans): GetHostResponse {
  const bytes = inField('address', () => parseAddress(address))
  const host = detector.host(bytes)
  if (!host) {
    throw new FlowdamError(
      'FD_HOST_OUTSIDE_NETWORKS',
      `${formatAddress(bytes)} is in none of the configured networks: it is not counted and never banned`,
    )
  }
  const ban = bans.covering(bytes)
  const { incoming, outgoing } = host.rates
  const rates = apiHost(
    {
      address: formatAddress(bytes),
      hostgroup: host.policy.hostgroup,
      incoming: { ...incoming.all, flows: incoming.flows },
      outgoing: { ...outgoing.all, flows: outgoing.flows },
    },
    ban !== undefined,
  )
  return {
    rates,
    thresholds: host.thresholds.map(({ limit, rate, current, of, learned }) => ({
      direction: apiDirection(limit.direction),
      metric: limit.metric,
      threshold: rate,
      current,
      of,
      source: learned?.inForce ? 'learned' : 'configured',
      basis: basisOf(learned),
    })),
    ban: ban && apiBan(ban),
    reason: explain(host, bans),
  }
}

/** Why the address is banned, or why not, in one sentence. */
export function explain(host: HostView, bans: Bans): string {
  const ban = bans.covering(host.address)
  if (ban) {
    const why =
      ban.who === 'detector' ? `the detector saw ${ban.reason}` : `${ban.who} asked for it: ${ban.reason}`
    const left = formatDuration(Math.max(0, ban.untilUnixMs - Date.now()))
    return `Banned as ${ban.prefix} because ${why}; ends in ${left} unless the attack goes on${ban.dryRun ? ' (dry run: no hook was run)' : ''}.`
  }
  const [nearest] = host.thresholds
  const group = host.policy.hostgroup ? `hostgroup '${host.policy.hostgroup}'` : 'no hostgroup'
  if (!nearest)
    return `Not banned: ${group} and the defaults set no threshold for ${host.policy.prefix.text}.`
  const share = nearest.current / nearest.rate
  const whose = nearest.of === '' ? '' : ` of ${nearest.of} together`
  const basis = nearest.learned?.inForce ? `, learned as ${basisOf(nearest.learned)}` : ''
  const distance = `${nearest.limit.direction} ${nearest.limit.metric}${whose} is at ${Math.round(share * 100)} % of its threshold (${group}${basis})`
  if (share <= 1) return `Not banned: ${distance} and nothing else is nearer.`
  if (!bans.rules.enabled) return `Not banned although ${distance}: ban.enabled is false.`
  const prefix = { bytes: host.address, length: 128, text: formatPrefix(host.address, 128) }
  const heldOff = bans.heldOffUntil(prefix.text)
  if (heldOff > 0) {
    return `Not banned although ${distance}: a person removed its ban, and the detector leaves it alone for ${formatDuration(heldOff - Date.now())}.`
  }
  const objection = bans.objection(prefix)
  if (objection) return `Not banned although ${distance}: ${objection.message}.`
  return `Not banned yet: ${distance}.`
}
