// SPDX-License-Identifier: Apache-2.0
import type { z } from 'zod'
import { nearest } from './nearest.js'

/** What a schema's type is called by who writes YAML. */
const TYPES: Readonly<Record<string, string>> = {
  array: 'a list',
  boolean: 'true or false',
  int: 'a whole number',
  number: 'a number',
  object: 'keys with values',
  record: 'keys with values',
  string: 'text',
}

/** A complaint of the schema in the words of who writes the file; `value` is what stands there. */
export function complaintOf(issue: z.core.$ZodIssue, value: unknown): string {
  switch (issue.code) {
    case 'invalid_type':
      if (value === undefined) return 'is missing'
      return `${show(value)} is not ${TYPES[issue.expected] ?? issue.expected}`
    case 'invalid_value':
      return oneOf(issue.values, value)
    case 'invalid_union':
      return 'options' in issue && Array.isArray(issue.options) ? oneOf(issue.options, value) : issue.message
    default:
      return issue.message
  }
}

function oneOf(values: readonly unknown[], value: unknown): string {
  const known = values.map(String)
  if (value === undefined) return `is missing: one of ${known.join(', ')}`
  const close = typeof value === 'string' ? nearest(value, known) : undefined
  return `${show(value)} is none of ${known.join(', ')}${close ? `; did you mean '${close}'?` : ''}`
}

function show(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object' && value !== null) return 'a set of keys'
  return value === null ? 'an empty value' : `'${String(value)}'`
}
