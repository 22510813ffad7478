// SPDX-License-Identifier: Apache-2.0
//
// FastNetMon's own gRPC service, so that fastnetmon_api_client and scripts around it go on working. It knows of no
// identity: config/check.ts keeps it on loopback, and every call is `fastnetmon_api`.
import { type Logger, parseAddress, parsePrefix } from '@flowdam/common'
import type { FastNetMonAddress, FastNetMonResult } from '@flowdam/proto'
import type { handleServerStreamingCall, handleUnaryCall, UntypedServiceImplementation } from '@grpc/grpc-js'
import { FASTNETMON_CALLER } from '../access/caller.js'
import { inField } from '../api/errors.js'
import { statusError, unary } from '../api/status-error.js'
import type { Bans } from '../bans/bans.js'
import type { Detector } from '../detect/detector.js'
import { NO_RATES } from '../detect/sample.js'

/** FastNetMon ends a ban by hand only when somebody says so; this is as long as a ban may last. */
const BAN_MS = 366 * 86_400_000

interface Handlers extends UntypedServiceImplementation {
  getBanlist: handleServerStreamingCall<object, FastNetMonAddress>
  executeBan: handleUnaryCall<FastNetMonAddress, FastNetMonResult>
  executeUnBan: handleUnaryCall<FastNetMonAddress, FastNetMonResult>
}

export function fastNetMonApi(bans: Bans, detector: Detector, log: Logger): Handlers {
  return {
    getBanlist: (call) => {
      try {
        // With their lengths, as FastNetMon has them: 203.0.113.9/32.
        for (const { prefix } of bans.active()) call.write({ ipAddress: prefix })
        call.end()
      } catch (error) {
        call.emit('error', statusError(error, log))
      }
    },
    executeBan: unary(log, ({ ipAddress }) => {
      const address = inField('ip_address', () => parseAddress(ipAddress))
      const host = detector.host(address)
      bans.add({
        prefix: parsePrefix(ipAddress).text,
        direction: 'incoming',
        durationMs: BAN_MS,
        reason: 'by FastNetMon API',
        who: FASTNETMON_CALLER,
        by: FASTNETMON_CALLER,
        hostgroup: host?.policy.hostgroup ?? '',
        rates: host?.rates ?? NO_RATES,
      })
      return { result: true }
    }),
    executeUnBan: unary(log, ({ ipAddress }) => {
      inField('ip_address', () => parseAddress(ipAddress))
      bans.remove(parsePrefix(ipAddress).text, FASTNETMON_CALLER, 'by FastNetMon API', FASTNETMON_CALLER)
      return { result: true }
    }),
  }
}
