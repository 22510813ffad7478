// SPDX-License-Identifier: Apache-2.0
import { type RefusedMessage, refusedMetadata } from '@flowdam/proto'
import { type Metadata, status } from '@grpc/grpc-js'
import type { DropReason } from '../drops.js'
import { errorDetails } from '../grpc/error-details.js'

/** Ends one stream with a status that its owner can act on, and says what to count. Never ends the process. */
export class Refusal extends Error {
  readonly code: status
  readonly reason: DropReason<'ingest'> | undefined
  /** The message that it is for, if that can be named: the agent then sets it aside. */
  readonly refused: RefusedMessage | undefined

  constructor(code: status, message: string, reason?: DropReason<'ingest'>, refused?: RefusedMessage) {
    super(message)
    this.code = code
    this.reason = reason
    this.refused = refused
  }

  /** What goes with the status. */
  get metadata(): Metadata | undefined {
    if (!this.refused) return undefined
    const { code, message } = this
    const reason = message.slice(0, Math.max(0, message.indexOf(':')))
    return errorDetails({ code, message, reason, metadata: refusedMetadata(this.refused) })
  }
}

export function invalid(reason: DropReason<'ingest'>, message: string, refused?: RefusedMessage): Refusal {
  return new Refusal(status.INVALID_ARGUMENT, message, reason, refused)
}
