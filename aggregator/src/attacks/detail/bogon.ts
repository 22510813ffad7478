// SPDX-License-Identifier: Apache-2.0

/** ::ffff:0:0/96 as its third word lies in memory. */
const IPV4_WORD = 0xffff0000

/**
 * Whether an address, four little-endian words of its 16 bytes, is one that nobody on the internet has as a source: the
 * special-purpose registries of RFC 6890 and multicast; of IPv6 all that is not global unicast (2000::/3), and the
 * documentation prefixes.
 */
export function isBogon(w0: number, w1: number, w2: number, w3: number): boolean {
  if (w0 === 0 && w1 === 0 && w2 === IPV4_WORD) {
    return isBogon4(w3 & 0xff, (w3 >>> 8) & 0xff, (w3 >>> 16) & 0xff)
  }
  const first = ((w0 & 0xff) << 8) | ((w0 >>> 8) & 0xff)
  const second = (((w0 >>> 16) & 0xff) << 8) | (w0 >>> 24)
  if ((first & 0xe000) !== 0x2000) return true
  return (first === 0x2001 && second === 0x0db8) || (first === 0x3fff && second < 0x1000)
}

function isBogon4(a: number, b: number, c: number): boolean {
  if (a === 0 || a === 10 || a === 127 || a >= 224) return true
  if (a === 100) return b >= 64 && b < 128
  if (a === 169) return b === 254
  if (a === 172) return b >= 16 && b < 32
  if (a === 192) return b === 168 || (b === 0 && (c === 0 || c === 2))
  if (a === 198) return b === 18 || b === 19 || (b === 51 && c === 100)
  return a === 203 && b === 0 && c === 113
}
