// SPDX-License-Identifier: Apache-2.0
import { FlowdamError } from '@flowdam/common'

/** One field of a request is wrong; goes out as google.rpc.BadRequest, too. */
export class FieldError extends FlowdamError {
  /** As in the .proto: `page_token`. */
  readonly field: string

  constructor(field: string, error: FlowdamError) {
    super(error.code, error.message, {
      cause: error.cause,
      ...(error.remedy !== undefined && { remedy: error.remedy }),
    })
    this.field = field
  }
}

/** Refused for now; goes out as google.rpc.RetryInfo, too. */
export class RetryError extends FlowdamError {
  readonly retryAfterMs: number

  constructor(
    code: `FD_${string}`,
    message: string,
    retryAfterMs: number,
    options: { remedy?: string } = {},
  ) {
    super(code, message, options)
    this.retryAfterMs = retryAfterMs
  }
}

/** What `read` complains of is the fault of this field. */
export function inField<T>(field: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw FlowdamError.is(error) ? new FieldError(field, error) : error
  }
}

/** FD_ARGUMENT for a field whose value makes no sense. */
export function badField(field: string, message: string): FieldError {
  return new FieldError(field, new FlowdamError('FD_ARGUMENT', message))
}
