// SPDX-License-Identifier: Apache-2.0
//
// Page tokens: where the next page begins, in a form that nobody is tempted to build.
import { FlowdamError } from '@flowdam/common'
import { FieldError } from './errors.js'

/** `kind` keeps one list's token from being taken for another's, or for the same with other filters. */
export function pageToken(kind: string, ...parts: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify([kind, ...parts])).toString('base64url')
}

/** What pageToken was given; undefined for the first page. Throws FD_ARGUMENT. */
export function readPageToken(kind: string, token: string): (string | number)[] | undefined {
  if (token === '') return undefined
  try {
    const parts: unknown = JSON.parse(Buffer.from(token, 'base64url').toString())
    if (Array.isArray(parts) && parts[0] === kind) return parts.slice(1) as (string | number)[]
  } catch {
    // Not ours.
  }
  throw new FieldError(
    'page_token',
    new FlowdamError('FD_ARGUMENT', 'page_token is none that this method gave, or the request has changed'),
  )
}

/** A page of what is sorted newest id first, and the token of the next. */
export function pageById<T extends { id: string }>(
  kind: string,
  sorted: readonly T[],
  limit: number,
  token: string,
): { page: T[]; nextPageToken: string } {
  const [after] = readPageToken(kind, token) ?? []
  const rest = after === undefined ? sorted : sorted.filter(({ id }) => id < String(after))
  const page = rest.slice(0, limit)
  const last = page.at(-1)
  return { page, nextPageToken: last && rest.length > limit ? pageToken(kind, last.id) : '' }
}
