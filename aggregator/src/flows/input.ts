// SPDX-License-Identifier: Apache-2.0
import { FlowdamError, type Prefix, parsePrefix } from '@flowdam/common'
import { FieldError } from '../api/errors.js'

/** First and last address of an address or prefix, as IPv6 text. FD_QUERY_INVALID names the field. */
export function addressRange(field: string, text: string): [string, string] {
  const prefix = prefixIn(field, text)
  const first = Uint8Array.from(prefix.bytes)
  const last = Uint8Array.from(prefix.bytes)
  for (let bit = prefix.length; bit < 128; bit++) {
    const mask = 0x80 >> (bit & 7)
    first[bit >> 3] = (first[bit >> 3] as number) & ~mask
    last[bit >> 3] = (last[bit >> 3] as number) | mask
  }
  return [hexGroups(first), hexGroups(last)]
}

export function prefixIn(field: string, text: string): Prefix {
  try {
    return parsePrefix(text)
  } catch (cause) {
    const error = new FlowdamError('FD_QUERY_INVALID', `'${text}' is no address or prefix`, { cause })
    throw new FieldError(field, error)
  }
}

export function checkProtocolAndPort({ protocol, port }: { protocol: number; port: number }): void {
  if (protocol > 255) throw invalid('protocol', `protocol ${protocol} is above 255`)
  if (port > 65_535) throw invalid('port', `port ${port} is above 65535`)
}

function hexGroups(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('hex')
    .replace(/(.{4})(?!$)/g, '$1:')
}

/** FD_QUERY_INVALID for a field whose value makes no sense. */
export function invalid(field: string, message: string): FieldError {
  return new FieldError(field, new FlowdamError('FD_QUERY_INVALID', message))
}
