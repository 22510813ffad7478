// SPDX-License-Identifier: Apache-2.0
import { Direction } from '@flowdam/proto'

/**
 * A message of the API as JSON: the proto's fields in camelCase, every one present, numbers plain and in base units
 * (packets, bit/s, milliseconds since 1970), a direction as a word.
 */
export function renderJson(message: object, layout: 'document' | 'line'): string {
  const indent = layout === 'document' ? 2 : undefined
  return `${JSON.stringify(message, (key, value) => (key === 'direction' ? directionWord(value) : value), indent)}\n`
}

/** "incoming" or "outgoing"; a flow's direction is text already. */
export function directionWord(direction: unknown): string {
  if (typeof direction === 'string') return direction
  if (direction === Direction.DIRECTION_INCOMING) return 'incoming'
  if (direction === Direction.DIRECTION_OUTGOING) return 'outgoing'
  return 'any'
}
