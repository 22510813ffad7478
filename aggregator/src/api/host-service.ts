// SPDX-License-Identifier: Apache-2.0
import { FlowdamError, formatAddress, type Logger, parseAddress } from '@flowdam/common'
import type { GetHostResponse, HostServiceServer, TopHostsRequest } from '@flowdam/proto'
import type { Ban } from '../bans/ban.js'
import type { Bans } from '../bans/bans.js'
import { isStopped } from '../bans/levels.js'
import type { Detector } from '../detect/detector.js'
import type { TopOrder } from '../detect/views.js'
import { basisOf } from './basis.js'
import { apiBan, apiDirection, apiHost, directionFrom } from './convert.js'
import { badField, inField } from './errors.js'
import { explain, levelStates } from './explain.js'
import { attacksOn, type HostContext, lastBan } from './host-context.js'
import { unary } from './status-error.js'
import { repeat } from './watch.js'

const DEFAULT_TOP = 20
const MOST_TOP = 1000
const ORDERS: readonly string[] = ['pps', 'bps', 'flows'] satisfies TopOrder[]

export function hostService(
  detector: Detector,
  bans: Bans,
  log: Logger,
  context: HostContext,
): HostServiceServer {
  const top = ({ by, limit, direction }: Pick<TopHostsRequest, 'by' | 'limit' | 'direction'>) => {
    const order = by || 'pps'
    if (!ORDERS.includes(order)) throw badField('by', `by is '${by}'; known are ${ORDERS.join(', ')}`)
    const most = Math.min(limit || DEFAULT_TOP, MOST_TOP)
    const hosts = detector.top(order as TopOrder, most, directionFrom(direction))
    return hosts.map((host) => apiHost(host, isBanned(bans.covering(parseAddress(host.address)))))
  }
  const one = ({ address }: { address: string }) => hostOf(address, detector, bans, context)
  return {
    topHosts: unary(log, (request) => ({ hosts: top(request) })),
    getHost: unary(log, one),
    watchTopHosts: (call) => repeat(call, log, (request) => ({ atUnixMs: Date.now(), hosts: top(request) })),
    watchHost: (call) => repeat(call, log, (request) => ({ atUnixMs: Date.now(), host: one(request) })),
  }
}

function hostOf(address: string, detector: Detector, bans: Bans, context: HostContext): GetHostResponse {
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
    isBanned(ban),
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
      rule: context.ruleOf(of || formatAddress(bytes), limit.direction, limit.metric, rate),
    })),
    ban: ban && apiBan(ban),
    reason: explain(host, bans),
    levels: levelStates(host, bans, ban),
    attacks: attacksOn(host, context.attacks()),
    lastBan: lastBan(bytes, bans),
  }
}

function isBanned(ban: Ban | undefined): boolean {
  return ban !== undefined && isStopped(ban)
}
