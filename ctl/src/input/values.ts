// SPDX-License-Identifier: Apache-2.0
import { formatAddress, parseAddress, parseDuration, parsePrefix } from '@flowdam/common'
import { Direction } from '@flowdam/proto'
import { usageError } from '../command-error.js'

/** Parsers for what is typed: each returns what the API wants, or says what would have been right. */

export function addressArgument(text: string): string {
  try {
    return formatAddress(parseAddress(text))
  } catch {
    throw usageError(`'${text}' is no address; write for instance 203.0.113.5 or 2001:db8::5`)
  }
}

/** An address or a prefix, as text that the aggregator reads. */
export function prefixArgument(text: string): string {
  try {
    return text.includes('/') ? parsePrefix(text).text : formatAddress(parseAddress(text))
  } catch (error) {
    if (text.includes('/')) throw usageError(error instanceof Error ? error.message : String(error))
    throw usageError(`'${text}' is no address or prefix; write for instance 203.0.113.5 or 203.0.113.0/24`)
  }
}

export function durationOption(text: string): number {
  try {
    return parseDuration(text)
  } catch (error) {
    throw usageError(error instanceof Error ? error.message : String(error))
  }
}

export function directionOption(text: string): Direction {
  if (text === 'in' || text === 'incoming') return Direction.DIRECTION_INCOMING
  if (text === 'out' || text === 'outgoing') return Direction.DIRECTION_OUTGOING
  throw usageError(`'${text}' is no direction; write in or out`)
}

/** A whole number from `least` to `most`. */
export function wholeNumber(option: string, least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (!(value >= least && value <= most)) {
      throw usageError(`${option}: '${text}' is no whole number from ${least} to ${most}`)
    }
    return value
  }
}
