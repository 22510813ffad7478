// SPDX-License-Identifier: Apache-2.0
import { nearest } from '@flowdam/common'
import { usageError } from '../command-error.js'
import { parseProtocol } from './protocol.js'
import { prefixArgument, wholeNumber } from './values.js'

/** What flows can be narrowed by, with who reads the value. */
const FIELDS = {
  host: prefixArgument,
  src: prefixArgument,
  dst: prefixArgument,
  proto: parseProtocol,
  port: wholeNumber('port', 1, 65_535),
  agent: (text: string) => text,
} as const

export type Where = { [Field in keyof typeof FIELDS]?: ReturnType<(typeof FIELDS)[Field]> }

/** `dst=203.0.113.5 proto=udp and port=53`: all of it must hold. Throws FD_USAGE with the condition that is wrong. */
export function parseWhere(text: string): Where {
  const where: Record<string, string | number> = {}
  const conditions = text.split(/[\s,]+/).filter((word) => word !== '' && word.toLowerCase() !== 'and')
  if (conditions.length === 0) throw usageError(`--where: '${text}' has no condition`, EXAMPLE)
  for (const condition of conditions) {
    const [, field = '', value = ''] = /^([^=]*)={1,2}(.+)$/.exec(condition) ?? []
    if (value === '') throw usageError(`--where: '${condition}' is no condition`, EXAMPLE)
    if (!isField(field)) throw usageError(`--where: there is no field '${field}'${meant(field)}`, EXAMPLE)
    if (where[field] !== undefined)
      throw usageError(`--where: '${field}' stands twice; all conditions must hold`)
    where[field] = FIELDS[field](value)
  }
  return where
}

const EXAMPLE = `write FIELD=VALUE, with ${Object.keys(FIELDS).join(', ')}: 'dst=203.0.113.5 proto=udp port=53'`

function isField(text: string): text is keyof typeof FIELDS {
  return Object.hasOwn(FIELDS, text)
}

function meant(field: string): string {
  const near = nearest(field, Object.keys(FIELDS))
  return near === undefined ? '' : `; did you mean '${near}'?`
}
