// SPDX-License-Identifier: Apache-2.0
import { FlowdamError, parsePrefix } from '@flowdam/common'

/** First and last address of an address or prefix, as IPv6 text. */
export function addressRange(text: string): [string, string] {
  let prefix: { bytes: Uint8Array; length: number }
  try {
    prefix = parsePrefix(text)
  } catch (cause) {
    throw new FlowdamError('FD_QUERY_INVALID', `'${text}' is no address or prefix`, { cause })
  }
  const first = Uint8Array.from(prefix.bytes)
  const last = Uint8Array.from(prefix.bytes)
  for (let bit = prefix.length; bit < 128; bit++) {
    const mask = 0x80 >> (bit & 7)
    first[bit >> 3] = (first[bit >> 3] as number) & ~mask
    last[bit >> 3] = (last[bit >> 3] as number) | mask
  }
  return [hexGroups(first), hexGroups(last)]
}

function hexGroups(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('hex')
    .replace(/(.{4})(?!$)/g, '$1:')
}

export function invalid(message: string): FlowdamError {
  return new FlowdamError('FD_QUERY_INVALID', message)
}
