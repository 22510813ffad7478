// SPDX-License-Identifier: Apache-2.0
//
// What a request says of itself in words: who asks, and why.
import type { Metadata } from '@grpc/grpc-js'
import { callerOf, FASTNETMON_CALLER } from '../access/caller.js'
import { badField } from './errors.js'

const MOST_TEXT = 1000
/** Names in a ban's history that are no person's. */
const OURS = new Set(['detector', 'guard', FASTNETMON_CALLER])

/** It goes into the journal, logs, and environments: no process has a NUL byte there, or 128 KiB. */
export function checkText(field: string, text: string): void {
  if (text.length > MOST_TEXT) throw badField(field, `${field} has more than ${MOST_TEXT} characters`)
  if (/\p{Cc}/u.test(text)) throw badField(field, `${field} has line breaks or other control characters`)
}

/** Who the request says, else who the gate says; never one of our own names. */
export function claimed(claim: string, metadata: Metadata): { who: string; by: string } {
  checkText('who', claim)
  if (OURS.has(claim)) throw badField('who', `'${claim}' is no person`)
  const { by } = callerOf(metadata)
  return { who: claim || by, by }
}
