// SPDX-License-Identifier: Apache-2.0
import { type Attack, Direction } from '@flowdam/proto'

/** The API's Attack as JSON hooks see it: names in snake_case like the rest of their document, the direction as a word. */
export function attackDocument(attack: Attack): object {
  const direction = attack.direction === Direction.DIRECTION_OUTGOING ? 'outgoing' : 'incoming'
  return snakeCase({ ...attack, direction }) as object
}

function snakeCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snakeCase)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      snakeCase(item),
    ]),
  )
}
