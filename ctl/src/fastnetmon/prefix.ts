// SPDX-License-Identifier: Apache-2.0
import { formatPrefix, isIpv4, maskAddress, type Prefix, parseAddress, parsePrefix } from '@flowdam/common'

/** A prefix whose host bits may be set, as FastNetMon takes them; undefined for what is none. */
export function readPrefix(text: string): Prefix | undefined {
  const [, address = '', length = ''] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? []
  try {
    if (length === '') return parsePrefix(text)
    const most = address.includes(':') ? 128 : 32
    if (Number(length) > most) return undefined
    const bits = Number(length) + 128 - most
    return parsePrefix(formatPrefix(maskAddress(parseAddress(address), bits), bits))
  } catch {
    return undefined
  }
}

export function isIpv4Prefix(prefix: Prefix): boolean {
  return prefix.length >= 96 && isIpv4(prefix.bytes)
}
