// SPDX-License-Identifier: Apache-2.0
import { describeError, FlowdamError, type Logger } from '@flowdam/common'
import { BadRequest, RetryInfo } from '@flowdam/proto'
import { type Metadata, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js'
import { type Detail, errorDetails } from '../grpc/error-details.js'
import { FieldError, RetryError } from './errors.js'

/** The status of each error that the API answers with; docs/api.md has the same list, which a test compares. */
export const STATUS: Readonly<Record<string, status>> = {
  FD_ADDRESS_INVALID: status.INVALID_ARGUMENT,
  FD_PREFIX_INVALID: status.INVALID_ARGUMENT,
  FD_ARGUMENT: status.INVALID_ARGUMENT,
  FD_API_MALFORMED: status.INVALID_ARGUMENT,
  FD_BAN_LEVEL_UNKNOWN: status.INVALID_ARGUMENT,
  FD_BAN_UNKNOWN: status.NOT_FOUND,
  FD_ATTACK_UNKNOWN: status.NOT_FOUND,
  FD_BASELINE_UNKNOWN: status.NOT_FOUND,
  FD_BASELINE_NOT_READY: status.FAILED_PRECONDITION,
  FD_BASELINE_NOT_ABOVE: status.FAILED_PRECONDITION,
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
  FD_API_UNAUTHENTICATED: status.UNAUTHENTICATED,
  FD_API_ROLE: status.PERMISSION_DENIED,
  FD_API_RATE: status.RESOURCE_EXHAUSTED,
  FD_API_OPEN_CALLS: status.RESOURCE_EXHAUSTED,
  FD_API_MESSAGE_SIZE: status.RESOURCE_EXHAUSTED,
  FD_FLOW_WATCHES: status.RESOURCE_EXHAUSTED,
  FD_WATCH_SLOW: status.RESOURCE_EXHAUSTED,
  FD_AUDIT_UNREADABLE: status.UNAVAILABLE,
}

export interface StatusError {
  code: status
  details: string
  metadata: Metadata
}

/** A gRPC status for any error: our code at the start of the message; what is not ours is a defect, and logged. */
export function statusError(error: unknown, log: Logger): StatusError {
  if (!FlowdamError.is(error)) log.error({ err: describeError(error) }, 'an API call failed')
  const ours = FlowdamError.is(error)
    ? error
    : new FlowdamError('FD_INTERNAL', 'the aggregator failed; its log says why')
  const remedy = ours.remedy ? ` (${ours.remedy})` : ''
  const code = ours.code === 'FD_INTERNAL' ? status.INTERNAL : (STATUS[ours.code] ?? status.UNKNOWN)
  const details = `${ours.code}: ${ours.message}${remedy}`
  const info = ours.remedy ? { remedy: ours.remedy } : {}
  const others = otherDetails(ours)
  return {
    code,
    details,
    metadata: errorDetails({ code, message: details, reason: ours.code, metadata: info, others }),
  }
}

/** Which field is wrong, when to try again. */
function otherDetails(error: FlowdamError): Detail[] {
  const details: Detail[] = []
  if (error instanceof FieldError) {
    const bad = BadRequest.fromPartial({
      fieldViolations: [{ field: error.field, description: error.message }],
    })
    details.push(['BadRequest', BadRequest.encode(bad).finish()])
  }
  if (error instanceof RetryError) {
    const ms = error.retryAfterMs
    const retry = RetryInfo.fromPartial({
      retryDelay: { seconds: Math.floor(ms / 1000), nanos: (ms % 1000) * 1_000_000 },
    })
    details.push(['RetryInfo', RetryInfo.encode(retry).finish()])
  }
  return details
}

/** A unary handler from a plain function. `signal` is aborted when the caller no longer waits. */
export function unary<Request, Response>(
  log: Logger,
  handle: (
    request: Request,
    call: ServerUnaryCall<Request, Response>,
    signal: AbortSignal,
  ) => Response | Promise<Response>,
): (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>) => void {
  return (call, callback) => {
    const controller = new AbortController()
    // Also when the deadline has passed.
    call.on('cancelled', () => controller.abort())
    Promise.resolve()
      .then(() => handle(call.request, call, controller.signal))
      .then(
        (response) => callback(null, response),
        (error: unknown) => callback(statusError(error, log)),
      )
  }
}
