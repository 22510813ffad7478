// SPDX-License-Identifier: Apache-2.0

/** Recognises our errors across duplicate copies of this package, where `instanceof` fails. */
const FLOWDAM_ERROR = Symbol.for('flowdam.error')

export interface FlowdamErrorOptions {
  cause?: unknown
  /** What the person reading it can do; printed on a line of its own. */
  remedy?: string
}

/**
 * An error that a person can act on: a stable code (`FD_…`), what happened, and what to do about it.
 * docs/troubleshooting.md lists the codes.
 */
export class FlowdamError extends Error {
  readonly code: `FD_${string}`
  readonly remedy: string | undefined
  readonly [FLOWDAM_ERROR] = true

  constructor(code: `FD_${string}`, message: string, options: FlowdamErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'FlowdamError'
    this.code = code
    this.remedy = options.remedy
  }

  static is(error: unknown): error is FlowdamError {
    return typeof error === 'object' && error !== null && FLOWDAM_ERROR in error
  }
}

/** One line for logs and terminals: `FD_CODE: message (cause)`, the remedy behind it. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const head = FlowdamError.is(error) ? `${error.code}: ${error.message}` : error.message
  const cause =
    error.cause instanceof Error && !head.includes(error.cause.message) ? ` (${error.cause.message})` : ''
  const remedy = FlowdamError.is(error) && error.remedy ? `\n  ${error.remedy}` : ''
  return head + cause + remedy
}
