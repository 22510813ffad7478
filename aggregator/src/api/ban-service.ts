// SPDX-License-Identifier: Apache-2.0
import { FlowdamError, type Logger, parsePrefix } from '@flowdam/common'
import type { BanServiceServer } from '@flowdam/proto'
import type { Metadata } from '@grpc/grpc-js'
import { callerOf, FASTNETMON_CALLER } from '../access/caller.js'
import type { Bans } from '../bans/bans.js'
import type { Detector } from '../detect/detector.js'
import { NO_RATES } from '../detect/sample.js'
import { apiBan, apiBanEvent, directionFrom } from './convert.js'
import { badField, inField } from './errors.js'
import { pageById } from './page.js'
import { unary } from './status-error.js'
import { sendEvents } from './watch.js'

const DEFAULT_LIST = 100
const MOST_LIST = 10_000
const MOST_TEXT = 1000
const LONGEST_BAN_S = 366 * 86_400
/** Names in a ban's history that are no person's. */
const OURS = new Set(['detector', 'guard', FASTNETMON_CALLER])

export function banService(bans: Bans, detector: Pick<Detector, 'host'>, log: Logger): BanServiceServer {
  return {
    listBans: unary(log, ({ includeEnded, limit, pageToken }) => {
      const all = bans.list(includeEnded, Number.POSITIVE_INFINITY)
      const { page, nextPageToken } = pageById(
        'bans',
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
      const ban = bans.add({
        prefix: prefix.text,
        direction: directionFrom(direction) ?? 'incoming',
        durationMs: durationS * 1000,
        reason,
        who,
        by,
        level,
        hostgroup: host?.policy.hostgroup ?? '',
        rates: prefix.length === 128 && host ? host.rates : NO_RATES,
      })
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

/** It goes into the journal, logs, and environments: no process has a NUL byte there, or 128 KiB. */
function checkText(field: string, text: string): void {
  if (text.length > MOST_TEXT) throw badField(field, `${field} has more than ${MOST_TEXT} characters`)
  if (/\p{Cc}/u.test(text)) throw badField(field, `${field} has line breaks or other control characters`)
}

/** Who the request says, else who the gate says; never one of our own names. */
function claimed(claim: string, metadata: Metadata): { who: string; by: string } {
  checkText('who', claim)
  if (OURS.has(claim)) throw badField('who', `'${claim}' is no person`)
  const { by } = callerOf(metadata)
  return { who: claim || by, by }
}
