// SPDX-License-Identifier: Apache-2.0
import { FlowdamError, type Logger, parsePrefix } from '@flowdam/common'
import type { BanServiceServer } from '@flowdam/proto'
import type { Bans } from '../bans/bans.js'
import type { Detector } from '../detect/detector.js'
import { NO_RATES } from '../detect/sample.js'
import { checkText, claimed } from './claim.js'
import { apiBan, apiBanEvent, directionFrom } from './convert.js'
import { badField, FieldError, inField } from './errors.js'
import { pageById } from './page.js'
import { unary } from './status-error.js'
import { sendEvents } from './watch.js'

const DEFAULT_LIST = 100
const MOST_LIST = 10_000
const LONGEST_BAN_S = 366 * 86_400

export function banService(bans: Bans, detector: Pick<Detector, 'host'>, log: Logger): BanServiceServer {
  return {
    listBans: unary(log, ({ includeEnded, limit, pageToken }) => {
      const all = bans.list(includeEnded, Number.POSITIVE_INFINITY)
      const { page, nextPageToken } = pageById(
        `bans ${includeEnded}`,
        all,
        Math.min(limit || DEFAULT_LIST, MOST_LIST),
        pageToken,
      )
      return { bans: page.map(apiBan), nextPageToken }
    }),
    getBan: unary(log, ({ id }) => {
      const ban = bans.get(id)
      if (!ban) throw new FlowdamError('FD_BAN_UNKNOWN', `no ban has the id '${id}'`)
      return { ban: apiBan(ban) }
    }),
    addBan: unary(log, ({ prefix: text, direction, durationS, reason, who: claim, level }, { metadata }) => {
      const prefix = inField('prefix', () => parsePrefix(text))
      const { who, by } = claimed(claim, metadata)
      checkText('reason', reason)
      if (durationS > LONGEST_BAN_S) {
        throw badField('duration_s', `a ban lasts at most ${LONGEST_BAN_S} seconds`)
      }
      const host = detector.host(prefix.bytes)
      const ban = ofLevel(() =>
        bans.add({
          prefix: prefix.text,
          direction: directionFrom(direction) ?? 'incoming',
          durationMs: durationS * 1000,
          reason,
          who,
          by,
          level,
          hostgroup: host?.policy.hostgroup ?? '',
          rates: prefix.length === 128 && host ? host.rates : NO_RATES,
        }),
      )
      return { ban: apiBan(ban) }
    }),
    removeBan: unary(log, ({ target, who: claim, reason }, { metadata }) => {
      const { who, by } = claimed(claim, metadata)
      checkText('reason', reason)
      return { ban: apiBan(bans.remove(target, who, reason, by)) }
    }),
    pauseBans: unary(log, ({ who: claim, reason, release }, { metadata }) => {
      const { who, by } = claimed(claim, metadata)
      checkText('reason', reason)
      return { control: bans.pause(who, reason, release, by) }
    }),
    resumeBans: unary(log, ({ who: claim, reason }, { metadata }) => {
      checkText('reason', reason)
      return { control: bans.resume(claimed(claim, metadata).who, reason) }
    }),
    watchBans: (call) =>
      sendEvents(call, log, {
        state: () => bans.active().map((ban) => apiBanEvent({ event: 'state', atUnixMs: Date.now(), ban })),
        watch: (send) => bans.watch((event) => send(apiBanEvent(event))),
      }),
  }
}

/** Which levels there are depends on the prefix, so only the ban itself finds out. */
function ofLevel<T>(add: () => T): T {
  try {
    return add()
  } catch (error) {
    const isLevel = FlowdamError.is(error) && error.code === 'FD_BAN_LEVEL_UNKNOWN'
    throw isLevel ? new FieldError('level', error) : error
  }
}
