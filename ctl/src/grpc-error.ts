// SPDX-License-Identifier: Apache-2.0
import { formatDuration } from '@flowdam/common'
import { type ServiceError, status } from '@grpc/grpc-js'
import { CommandError } from './command-error.js'
import { EXIT } from './exit-status.js'

interface ErrorContext {
  server: string
  timeoutMs: number
  /** Whether the connection stood when the call ended. */
  connected: boolean
}

const WHICH_SERVER = 'Is it running there? Name another with --server HOST:PORT or FLOWDAM_SERVER.'

/** A gRPC status as something to act on: who failed (the connection or the aggregator), and what to do. */
export function callError(error: ServiceError, context: ErrorContext): CommandError {
  const own = /^(FD_[A-Z0-9_]+):?\s*/.exec(error.details)
  if (own) {
    const code = own[1] as `FD_${string}`
    return new CommandError(EXIT.failed, code, error.details.slice(own[0].length), { cause: error })
  }
  if (error.code === status.UNAVAILABLE) return unreachable(connectionReason(error.details), context, error)
  // We cancel no call that somebody still waits for: the server went away in the middle of it.
  if (error.code === status.CANCELLED || error.details.includes('RST_STREAM')) {
    return unreachable('the connection was lost', context, error)
  }
  if (error.code === status.DEADLINE_EXCEEDED) {
    return context.connected ? tooSlow(context, error) : connectTimeout(context)
  }
  const http = /Received HTTP status code (\d+)/.exec(error.details)?.[1]
  if (http !== undefined)
    return unreachable(`what answers there is no gRPC server (HTTP ${http})`, context, error)
  if (error.code === status.UNIMPLEMENTED) {
    return new CommandError(
      EXIT.failed,
      'FD_UNIMPLEMENTED',
      `${context.server} does not know this call (${error.details})`,
      { cause: error, remedy: 'Is it a Flowdam aggregator, and as new as this command?' },
    )
  }
  const name = status[error.code] ?? `status ${error.code}`
  const code = error.code === status.NOT_FOUND ? 'FD_NOT_FOUND' : 'FD_CALL_FAILED'
  return new CommandError(
    EXIT.failed,
    code,
    `the aggregator at ${context.server} answered ${name}: ${error.details}`,
    {
      cause: error,
    },
  )
}

/** Nothing answered in time, not even the handshake. */
export function connectTimeout(context: ErrorContext): CommandError {
  return unreachable(`no connection within ${formatDuration(context.timeoutMs)}`, context)
}

/** The server ended a stream that has no end of its own. */
export function connectionLost(context: ErrorContext): CommandError {
  return unreachable('it ended the watch', context)
}

function unreachable(reason: string, { server }: ErrorContext, cause?: unknown): CommandError {
  return new CommandError(
    EXIT.unreachable,
    'FD_UNREACHABLE',
    `cannot reach the aggregator at ${server}: ${reason}`,
    { cause, remedy: WHICH_SERVER },
  )
}

function tooSlow({ server, timeoutMs }: ErrorContext, cause: unknown): CommandError {
  return new CommandError(
    EXIT.failed,
    'FD_DEADLINE',
    `the aggregator at ${server} did not answer within ${formatDuration(timeoutMs)}`,
    { cause, remedy: 'Give it longer with --timeout, for instance --timeout 30s.' },
  )
}

/** The part of grpc-js's sentence that a person needs, from the errors it wraps. */
function connectionReason(details: string): string {
  const system = /connect (E[A-Z]+)/.exec(details)?.[1]
  if (system === 'ECONNREFUSED') return 'connection refused'
  if (system === 'EHOSTUNREACH' || system === 'ENETUNREACH') return 'no route to it'
  if (/ETIMEDOUT/.test(details)) return 'connecting timed out'
  if (/Name resolution failed|ENOTFOUND|EAI_AGAIN/.test(details)) return 'no such host name'
  if (/ECONNRESET|Connection dropped|GOAWAY|socket hang up/i.test(details)) return 'the connection was lost'
  const last = /Last error: (?:Error: )?(.*?)(?:\. Resolution note.*)?$/.exec(details)?.[1]
  return (last ?? details) || 'connection closed'
}
