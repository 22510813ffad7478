// SPDX-License-Identifier: Apache-2.0
import { FlowdamError, type Logger, parsePrefix } from '@flowdam/common'
import type { BanServiceServer } from '@flowdam/proto'
import type { Bans } from '../bans/bans.js'
import type { BanEvent } from '../bans/events.js'
import type { Detector } from '../detect/detector.js'
import { NO_RATES } from '../detect/sample.js'
import { apiBan, apiBanEvent, directionFrom } from './convert.js'
import { unary } from './status-error.js'

const DEFAULT_LIST = 100
const MOST_LIST = 10_000
/** A watcher that reads nothing for so many events is cut off; it can begin anew and gets the state first. */
const MOST_PENDING = 10_000
const LONGEST_BAN_S = 366 * 86_400

export function banService(bans: Bans, detector: Detector, log: Logger): BanServiceServer {
  return {
    listBans: unary(log, ({ includeEnded, limit }) => ({
      bans: bans.list(includeEnded, Math.min(limit || DEFAULT_LIST, MOST_LIST)).map(apiBan),
    })),
    getBan: unary(log, ({ id }) => {
      const ban = bans.get(id)
      if (!ban) throw new FlowdamError('FD_BAN_UNKNOWN', `no ban has the id '${id}'`)
      return { ban: apiBan(ban) }
    }),
    addBan: unary(log, ({ prefix: text, direction, durationS, reason, who }) => {
      const prefix = parsePrefix(text)
      if (durationS > LONGEST_BAN_S) {
        throw new FlowdamError('FD_ARGUMENT', `a ban lasts at most ${LONGEST_BAN_S} seconds`)
      }
      const host = detector.host(prefix.bytes)
      const ban = bans.add({
        prefix: prefix.text,
        direction: directionFrom(direction) ?? 'incoming',
        durationMs: durationS * 1000,
        reason,
        who,
        hostgroup: host?.policy.hostgroup ?? '',
        rates: prefix.length === 128 && host ? host.rates : NO_RATES,
      })
      return { ban: apiBan(ban) }
    }),
    removeBan: unary(log, ({ target, who, reason }) => ({ ban: apiBan(bans.remove(target, who, reason)) })),
    pauseBans: unary(log, ({ who, reason, release }) => ({ control: bans.pause(who, reason, release) })),
    resumeBans: unary(log, ({ who, reason }) => ({ control: bans.resume(who, reason) })),
    watchBans: (call) => {
      let pending = 0
      const send = (event: BanEvent) => {
        if (pending >= MOST_PENDING) {
          call.destroy(new Error('FD_WATCH_SLOW: the watcher does not read'))
          return
        }
        pending++
        call.write(apiBanEvent(event), () => {
          pending--
        })
      }
      for (const ban of bans.active()) send({ event: 'state', atUnixMs: Date.now(), ban })
      const unwatch = bans.watch(send)
      for (const name of ['cancelled', 'close', 'error'] as const) call.on(name, unwatch)
    },
  }
}
