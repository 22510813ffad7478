// SPDX-License-Identifier: Apache-2.0
import { FlowdamError, type Logger } from '@flowdam/common'
import { type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js'

const STATUS: Readonly<Record<string, status>> = {
  FD_ADDRESS_INVALID: status.INVALID_ARGUMENT,
  FD_PREFIX_INVALID: status.INVALID_ARGUMENT,
  FD_ARGUMENT: status.INVALID_ARGUMENT,
  FD_BAN_UNKNOWN: status.NOT_FOUND,
  FD_ATTACK_UNKNOWN: status.NOT_FOUND,
  FD_BASELINE_UNKNOWN: status.NOT_FOUND,
  FD_BASELINE_NOT_READY: status.FAILED_PRECONDITION,
  FD_BAN_EXISTS: status.ALREADY_EXISTS,
  FD_BAN_OUTSIDE_NETWORKS: status.FAILED_PRECONDITION,
  FD_BAN_EXEMPT: status.FAILED_PRECONDITION,
  FD_BAN_TOO_WIDE: status.FAILED_PRECONDITION,
  FD_BAN_MAX_ACTIVE: status.FAILED_PRECONDITION,
  FD_BAN_RATE_LIMIT: status.FAILED_PRECONDITION,
  FD_BAN_PAUSED: status.FAILED_PRECONDITION,
  FD_BAN_TRIPPED: status.FAILED_PRECONDITION,
  FD_HOST_OUTSIDE_NETWORKS: status.NOT_FOUND,
  FD_QUERY_INVALID: status.INVALID_ARGUMENT,
  FD_QUERY_FAILED: status.UNAVAILABLE,
  FD_QUERY_BUSY: status.RESOURCE_EXHAUSTED,
}

/** A gRPC status for any error: our code at the start of the message; what is not ours is a defect, and logged. */
export function statusError(error: unknown, log: Logger): { code: status; details: string } {
  if (FlowdamError.is(error)) {
    const remedy = error.remedy ? ` (${error.remedy})` : ''
    const code = STATUS[error.code] ?? status.UNKNOWN
    return { code, details: `${error.code}: ${error.message}${remedy}` }
  }
  log.error({ err: error }, 'an API call failed')
  return { code: status.INTERNAL, details: 'FD_INTERNAL: the aggregator failed; its log says why' }
}

/** A unary handler from a plain function. */
export function unary<Request, Response>(
  log: Logger,
  handle: (request: Request) => Response | Promise<Response>,
): (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>) => void {
  return (call, callback) => {
    Promise.resolve()
      .then(() => handle(call.request))
      .then(
        (response) => callback(null, response),
        (error: unknown) => callback(statusError(error, log)),
      )
  }
}
