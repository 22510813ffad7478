// SPDX-License-Identifier: Apache-2.0
import { status } from '@grpc/grpc-js'
import type { DropReason } from '../drops.js'

/** Ends one stream with a status that its owner can act on, and says what to count. Never ends the process. */
export class Refusal extends Error {
  readonly code: status
  readonly reason: DropReason<'ingest'> | undefined

  constructor(code: status, message: string, reason?: DropReason<'ingest'>) {
    super(message)
    this.code = code
    this.reason = reason
  }
}

export function invalid(reason: DropReason<'ingest'>, message: string): Refusal {
  return new Refusal(status.INVALID_ARGUMENT, message, reason)
}
