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

const WHICH_TOKEN = 'Give one with --token-file or FLOWDAM_TOKEN.'

/** A gRPC status as something to act on: who failed (the connection or the aggregator), and what to do. */
export function callError(error: ServiceError, context: ErrorContext): CommandError {
  const own = /^(FD_[A-Z0-9_]+):?\s*/.exec(error.details)
  if (own) {
    const code = own[1] as `FD_${string}`
    const remedy = code === 'FD_API_UNAUTHENTICATED' ? WHICH_TOKEN : undefined
    return new CommandError(EXIT.failed, code, error.details.slice(own[0].length), {
      cause: error,
      ...(remedy !== undefined && { remedy }),
    })
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

function unreachable(reason: Reason | string, { server }: ErrorContext, cause?: unknown): CommandError {
  const { text, remedy } = typeof reason === 'string' ? { text: reason, remedy: WHICH_SERVER } : reason
  return new CommandError(
    EXIT.unreachable,
    'FD_UNREACHABLE',
    `cannot reach the aggregator at ${server}: ${text}`,
    { cause, remedy },
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

interface Reason {
  text: string
  remedy: string
}

/** What Node's and OpenSSL's errors, which grpc-js wraps in sentences of its own, mean to a person. */
const REASONS: readonly (readonly [pattern: RegExp, reason: Reason | string])[] = [
  [/ECONNREFUSED/, 'connection refused'],
  [/EHOSTUNREACH|ENETUNREACH/, 'no route to it'],
  [/ETIMEDOUT/, 'connecting timed out'],
  [
    /Protocol error/,
    {
      text: 'what answers there does not speak gRPC',
      remedy: 'Name the port of listen.grpc (or api.listen) with --server, not that of listen.http.',
    },
  ],
  [/Name resolution failed|ENOTFOUND|EAI_AGAIN/, 'no such host name'],
  [
    /certificate required|alert number 116|handshake failure/,
    {
      text: 'it wants a certificate of ours',
      remedy: 'Give one with --cert and --key (FLOWDAM_CERT, FLOWDAM_KEY).',
    },
  ],
  [
    /self-signed|unable to (verify|get)|issuer certificate/,
    {
      text: 'its certificate is not signed by the authority in --ca',
      remedy: 'Is it the right file, and the right server?',
    },
  ],
  [
    /altnames/,
    { text: 'its certificate is for another name', remedy: 'Name it with --server as its certificate does.' },
  ],
  [/wrong version number/, { text: 'it does not speak TLS', remedy: 'Leave out --ca (FLOWDAM_CA).' }],
  [
    /Failed to connect/,
    { text: 'it closes the connection', remedy: 'If it speaks TLS, give --ca (FLOWDAM_CA).' },
  ],
  [/ECONNRESET|Connection dropped|GOAWAY|socket hang up/i, 'the connection was lost'],
]

function connectionReason(details: string): Reason | string {
  const known = REASONS.find(([pattern]) => pattern.test(details))
  if (known) return known[1]
  const last = /Last error: (?:Error: )?(.*?)(?:\. Resolution note.*)?$/s.exec(details)?.[1]
  return (last ?? details).trim() || 'connection closed'
}
