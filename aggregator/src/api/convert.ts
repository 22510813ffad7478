// SPDX-License-Identifier: Apache-2.0
//
// From our own types to the API's messages.
import { type Ban as ApiBan, Direction as ApiDirection, type HostRates, type Rates } from '@flowdam/proto'
import { type Ban, banRates } from '../bans/ban.js'
import type { BanEvent } from '../bans/events.js'
import { isDropped, levelOf } from '../bans/levels.js'
import type { Direction } from '../detect/slots.js'
import type { HostSummary } from '../detect/views.js'
import { badField } from './errors.js'

export function apiDirection(direction: Direction): ApiDirection {
  return direction === 'incoming' ? ApiDirection.DIRECTION_INCOMING : ApiDirection.DIRECTION_OUTGOING
}

/** Undefined where the request does not say; FD_ARGUMENT for a number that is none. */
export function directionFrom(direction: ApiDirection): Direction | undefined {
  if (direction === ApiDirection.DIRECTION_INCOMING) return 'incoming'
  if (direction === ApiDirection.DIRECTION_OUTGOING) return 'outgoing'
  // A newer client's may mean something else than both.
  if (direction !== ApiDirection.DIRECTION_UNSPECIFIED)
    throw badField('direction', `direction ${direction} is not known`)
  return undefined
}

export function apiRates({ pps, bps, flows }: Rates): Rates {
  return { pps, bps, flows }
}

export function apiHost(host: HostSummary, banned: boolean): HostRates {
  return {
    address: host.address,
    hostgroup: host.hostgroup,
    incoming: apiRates(host.incoming),
    outgoing: apiRates(host.outgoing),
    banned,
  }
}

export function apiBan(ban: Ban): ApiBan {
  const level = levelOf(ban)
  return {
    id: ban.id,
    prefix: ban.prefix,
    direction: apiDirection(ban.direction),
    state: ban.state,
    metric: ban.metric,
    threshold: ban.threshold,
    value: ban.value,
    rates: banRates(ban),
    hostgroup: ban.hostgroup,
    detectedUnixMs: ban.detectedUnixMs,
    bannedUnixMs: ban.bannedUnixMs,
    untilUnixMs: ban.untilUnixMs,
    unbannedUnixMs: ban.unbannedUnixMs,
    who: ban.who,
    reason:
      ban.state === 'unbanned' ? `${ban.reason}; ended by ${ban.endedBy}: ${ban.endReason}` : ban.reason,
    dryRun: ban.dryRun,
    hooks: ban.hooks.map((run) => ({ ...run })),
    attackId: ban.attackId,
    attackType: ban.attackType,
    by: ban.by ?? '',
    endedBy: ban.removedBy ?? '',
    level: level.name,
    action: level.action,
    steps: ban.steps.map(({ name, action, at, atUnixMs, who, metric, threshold, value }) => ({
      ...{ level: name, action, at, atUnixMs, who, metric, threshold, value },
    })),
    lastSeenUnixMs: ban.lastSeenUnixMs,
    drops: isDropped(ban),
    droppedPackets: ban.dropped.packets,
    droppedBytes: ban.dropped.bytes,
    dropAgents: ban.dropped.agents,
  }
}

export function apiBanEvent({ event, atUnixMs, ban }: BanEvent): {
  event: string
  atUnixMs: number
  ban: ApiBan
} {
  return { event, atUnixMs, ban: apiBan(ban) }
}
