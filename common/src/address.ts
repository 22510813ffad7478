// SPDX-License-Identifier: Apache-2.0
import { FlowdamError } from './errors.js'

/** Bytes of an address everywhere in Flowdam: IPv6, or IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2). */
export const ADDRESS_BYTES = 16

const MAPPED_PREFIX_BITS = 96

function parseIpv4(text: string): number[] | undefined {
  const parts = text.split('.')
  if (parts.length !== 4) return undefined
  const octets: number[] = []
  for (const part of parts) {
    // A leading zero means octal to some programs and decimal to others: refused.
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined
    octets.push(Number(part))
  }
  return octets
}

function parseGroups(text: string, lastMayBeIpv4: boolean): number[] | undefined {
  if (text === '') return []
  const bytes: number[] = []
  const groups = text.split(':')
  for (const [index, group] of groups.entries()) {
    if (lastMayBeIpv4 && index === groups.length - 1 && group.includes('.')) {
      const octets = parseIpv4(group)
      if (!octets) return undefined
      bytes.push(...octets)
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined
      const value = Number.parseInt(group, 16)
      bytes.push(value >> 8, value & 0xff)
    }
  }
  return bytes
}

function tryParse(text: string): Uint8Array | undefined {
  const address = new Uint8Array(ADDRESS_BYTES)
  if (!text.includes(':')) {
    const octets = parseIpv4(text)
    if (!octets) return undefined
    address[10] = 0xff
    address[11] = 0xff
    address.set(octets, 12)
    return address
  }
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const head = parseGroups(halves[0] ?? '', halves.length === 1)
  const tail = parseGroups(halves[1] ?? '', true)
  if (!head || !tail) return undefined
  const length = head.length + tail.length
  // "::" stands for at least one group (RFC 5952 section 4.2.2).
  if (halves.length === 1 ? length !== ADDRESS_BYTES : length > ADDRESS_BYTES - 2) return undefined
  address.set(head, 0)
  address.set(tail, ADDRESS_BYTES - tail.length)
  return address
}

/** 16 bytes of an IPv4 or IPv6 address in text. Throws FD_ADDRESS_INVALID. */
export function parseAddress(text: string): Uint8Array {
  const address = tryParse(text)
  if (!address) throw new FlowdamError('FD_ADDRESS_INVALID', `'${text}' is not an IPv4 or IPv6 address`)
  return address
}

/** Whether the 16 bytes at offset hold an IPv4 address. */
export function isIpv4(bytes: Uint8Array, offset = 0): boolean {
  for (let i = 0; i < 10; i++) if (bytes[offset + i] !== 0) return false
  return bytes[offset + 10] === 0xff && bytes[offset + 11] === 0xff
}

/** Text of the address at offset: dotted for IPv4, RFC 5952 for IPv6. */
export function formatAddress(bytes: Uint8Array, offset = 0): string {
  if (isIpv4(bytes, offset)) {
    return `${bytes[offset + 12]}.${bytes[offset + 13]}.${bytes[offset + 14]}.${bytes[offset + 15]}`
  }
  const groups: number[] = []
  for (let i = 0; i < ADDRESS_BYTES; i += 2) {
    groups.push(((bytes[offset + i] ?? 0) << 8) | (bytes[offset + i + 1] ?? 0))
  }
  // The longest run of at least two zero groups becomes "::", the first one of equals.
  let bestStart = -1
  let bestLength = 1
  for (let start = 0; start < 8; start++) {
    let end = start
    while (end < 8 && groups[end] === 0) end++
    if (end - start > bestLength) {
      bestStart = start
      bestLength = end - start
    }
  }
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(':')
  if (bestStart < 0) return hex(groups)
  return `${hex(groups.slice(0, bestStart))}::${hex(groups.slice(bestStart + bestLength))}`
}

export interface Prefix {
  /** 16 bytes, host bits zero. */
  readonly bytes: Uint8Array
  /** 0-128; an IPv4 /24 is 120. */
  readonly length: number
  /** Canonical text, `203.0.113.0/24`. */
  readonly text: string
}

/** Text of a prefix from its 16 bytes and its length on 128 bits. */
export function formatPrefix(bytes: Uint8Array, length: number): string {
  const v4 = length >= MAPPED_PREFIX_BITS && isIpv4(bytes)
  return `${formatAddress(bytes)}/${v4 ? length - MAPPED_PREFIX_BITS : length}`
}

/**
 * A prefix in CIDR notation, or an address (then /32 or /128). Host bits must be zero: `203.0.113.5/24` is more
 * often a slip than an intention. Throws FD_PREFIX_INVALID.
 */
export function parsePrefix(text: string): Prefix {
  const slash = text.indexOf('/')
  const addressText = slash < 0 ? text : text.slice(0, slash)
  const bytes = tryParse(addressText)
  const fail = (why: string) => new FlowdamError('FD_PREFIX_INVALID', `'${text}' ${why}`)
  if (!bytes) throw fail('is not a prefix such as 203.0.113.0/24 or 2001:db8::/32')
  const v4 = !addressText.includes(':')
  const most = v4 ? 32 : 128
  const lengthText = slash < 0 ? String(most) : text.slice(slash + 1)
  if (!/^\d{1,3}$/.test(lengthText) || Number(lengthText) > most)
    throw fail(`has no length from 0 to ${most}`)
  const length = Number(lengthText) + (v4 ? MAPPED_PREFIX_BITS : 0)
  const masked = maskAddress(bytes, length)
  const canonical = formatPrefix(masked, length)
  if (masked.some((byte, index) => byte !== bytes[index])) {
    throw fail(`has host bits set; did you mean ${canonical}?`)
  }
  return { bytes: masked, length, text: canonical }
}

/** A copy of the address with all bits behind `length` (0-128) cleared. */
export function maskAddress(bytes: Uint8Array, length: number): Uint8Array {
  const masked = new Uint8Array(ADDRESS_BYTES)
  for (let i = 0; i < ADDRESS_BYTES; i++) {
    const bits = Math.min(8, Math.max(0, length - i * 8))
    masked[i] = (bytes[i] ?? 0) & (0xff00 >> bits)
  }
  return masked
}
