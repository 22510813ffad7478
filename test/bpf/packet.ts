// SPDX-License-Identifier: Apache-2.0
//
// Packets out of headers: packet(ethernet(), vlan(7), ipv4({ ... }), udp({ ... }), payload(100)). Each header fills in
// what follows it (type, protocol, length) unless told otherwise, so that a lie in a packet is visible where it is told.
import { parseAddress } from '@flowdam/common'

export interface Layer {
  /** How the layer before names this one: an EtherType, or an IP protocol number. */
  readonly etherType?: number
  readonly protocol?: number
  /** The layer's bytes and all after it. */
  encode(rest: Buffer, next: Layer | undefined): Buffer
}

/** The frame, as it is on the wire, without padding and checksum. */
export function packet(...layers: readonly Layer[]): Buffer {
  let rest: Buffer = Buffer.alloc(0)
  for (let i = layers.length - 1; i >= 0; i--) rest = (layers[i] as Layer).encode(rest, layers[i + 1])
  return rest
}

/** Zeros up to Ethernet's smallest frame of 60 bytes. */
export function padded(frame: Buffer, size = 60): Buffer {
  return frame.length >= size ? frame : Buffer.concat([frame, Buffer.alloc(size - frame.length)])
}

export function bytes(content: Uint8Array): Layer {
  return { encode: (rest) => Buffer.concat([content, rest]) }
}

export function payload(size: number): Layer {
  return bytes(Buffer.alloc(size, 0x5a))
}

export function ethernet(type?: number): Layer {
  return {
    etherType: 0x6558,
    encode: (rest, next) =>
      Buffer.concat([
        Buffer.from('020000000001020000000002', 'hex'),
        uint16(type ?? etherTypeOf(next)),
        rest,
      ]),
  }
}

/** 802.1Q by default; 0x88a8 is 802.1ad, 0x9100 what switches used before it. */
export function vlan(id: number, tpid = 0x8100, priority = 0): Layer {
  return {
    etherType: tpid,
    encode: (rest, next) => Buffer.concat([uint16((priority << 13) | id), uint16(etherTypeOf(next)), rest]),
  }
}

export function pppoe(options: { session?: number; code?: number; pppProtocol?: number } = {}): Layer {
  const { session = 7, code = 0, pppProtocol } = options
  return {
    etherType: 0x8864,
    encode: (rest, next) => {
      const ppp = pppProtocol ?? { 2048: 0x0021, 34525: 0x0057, 34887: 0x0281 }[etherTypeOf(next)] ?? 0
      return Buffer.concat([
        Buffer.from([0x11, code]),
        uint16(session),
        uint16(rest.length + 2),
        uint16(ppp),
        rest,
      ])
    },
  }
}

/** One label; the bottom-of-stack bit is set where no label follows. */
export function mpls(label: number): Layer {
  return {
    etherType: 0x8847,
    encode: (rest, next) => {
      const bottom = next?.etherType === 0x8847 ? 0 : 1
      return Buffer.concat([uint32(label * 4096 + bottom * 256 + 64), rest])
    },
  }
}

export interface Ipv4Options {
  src?: string
  dst?: string
  /** 4-bit header length in words, as it is written; the options decide by default. */
  ihl?: number
  version?: number
  tos?: number
  ttl?: number
  totalLength?: number
  protocol?: number
  /** Bytes of options, up to 40, a multiple of 4. */
  options?: number
  moreFragments?: boolean
  /** In units of 8 bytes. */
  fragmentOffset?: number
}

export function ipv4(options: Ipv4Options = {}): Layer {
  const {
    src = '192.0.2.1',
    dst = '203.0.113.5',
    version = 4,
    tos = 0,
    ttl = 64,
    options: extra = 0,
  } = options
  return {
    etherType: 0x0800,
    protocol: 4,
    encode: (rest, next) => {
      const header = Buffer.alloc(20 + extra, 1)
      header[0] = (version << 4) | (options.ihl ?? header.length / 4)
      header[1] = tos
      header.writeUInt16BE((options.totalLength ?? header.length + rest.length) & 0xffff, 2)
      header.writeUInt16BE(0x1234, 4)
      header.writeUInt16BE((options.moreFragments ? 0x2000 : 0) | (options.fragmentOffset ?? 0), 6)
      header[8] = ttl
      header[9] = options.protocol ?? next?.protocol ?? 255
      header.writeUInt16BE(0, 10)
      header.set(parseAddress(src).subarray(12), 12)
      header.set(parseAddress(dst).subarray(12), 16)
      return Buffer.concat([header, rest])
    },
  }
}

export interface Ipv6Options {
  src?: string
  dst?: string
  version?: number
  trafficClass?: number
  hopLimit?: number
  payloadLength?: number
  next?: number
}

export function ipv6(options: Ipv6Options = {}): Layer {
  const { src = '2001:db8::1', dst = '2001:db8:5::5', version = 6, trafficClass = 0, hopLimit = 64 } = options
  return {
    etherType: 0x86dd,
    protocol: 41,
    encode: (rest, next) => {
      const header = Buffer.alloc(40)
      header.writeUInt32BE(((version << 28) | (trafficClass << 20) | 0xabcde) >>> 0, 0)
      header.writeUInt16BE((options.payloadLength ?? rest.length) & 0xffff, 4)
      header[6] = options.next ?? next?.protocol ?? 59
      header[7] = hopLimit
      header.set(parseAddress(src), 8)
      header.set(parseAddress(dst), 24)
      return Buffer.concat([header, rest])
    },
  }
}

function ipv6Extension(protocol: number, size: number, lengthField: number): Layer {
  return {
    protocol,
    encode: (rest, next) => {
      const header = Buffer.alloc(size)
      header[0] = next?.protocol ?? 59
      header[1] = lengthField
      return Buffer.concat([header, rest])
    },
  }
}

/** Extension headers of `size` bytes, a multiple of 8. */
export const hopByHop = (size = 8) => ipv6Extension(0, size, size / 8 - 1)
export const routing = (size = 24) => ipv6Extension(43, size, size / 8 - 1)
export const destinationOptions = (size = 8) => ipv6Extension(60, size, size / 8 - 1)
export const mobility = (size = 8) => ipv6Extension(135, size, size / 8 - 1)
/** Authentication header of `size` bytes, a multiple of 4. */
export const authentication = (size = 24) => ipv6Extension(51, size, size / 4 - 2)

/** offset in units of 8 bytes. */
export function fragment(offset: number, more: boolean, next?: number): Layer {
  return {
    protocol: 44,
    encode: (rest, following) => {
      const header = Buffer.from([next ?? following?.protocol ?? 59, 0, 0, 0, 0, 0, 0, 9])
      header.writeUInt16BE((offset << 3) | (more ? 1 : 0), 2)
      return Buffer.concat([header, rest])
    },
  }
}

export interface Ports {
  src?: number
  dst?: number
}

/** flags: FIN 1, SYN 2, RST 4, PSH 8, ACK 16. dataOffset in words. */
export function tcp(options: Ports & { flags?: number; dataOffset?: number } = {}): Layer {
  const { src = 40000, dst = 443, flags = 0x10, dataOffset = 5 } = options
  return {
    protocol: 6,
    encode: (rest) => {
      const header = Buffer.alloc(20)
      header.writeUInt16BE(src, 0)
      header.writeUInt16BE(dst, 2)
      header[12] = dataOffset << 4
      header[13] = flags
      return Buffer.concat([header, rest])
    },
  }
}

export function udp(options: Ports & { length?: number } = {}): Layer {
  const { src = 40000, dst = 53 } = options
  return {
    protocol: 17,
    encode: (rest) =>
      Buffer.concat([
        uint16(src),
        uint16(dst),
        uint16((options.length ?? rest.length + 8) & 0xffff),
        uint16(0),
        rest,
      ]),
  }
}

export function sctp({ src = 40000, dst = 2905 }: Ports = {}): Layer {
  return {
    protocol: 132,
    encode: (rest) => Buffer.concat([uint16(src), uint16(dst), uint32(1), uint32(0), rest]),
  }
}

function icmpMessage(protocol: number, type: number, code: number): Layer {
  return { protocol, encode: (rest) => Buffer.concat([Buffer.from([type, code, 0, 0, 0, 1, 0, 1]), rest]) }
}

export const icmp = (type = 8, code = 0) => icmpMessage(1, type, code)
export const icmpv6 = (type = 128, code = 0) => icmpMessage(58, type, code)

export interface GreOptions {
  checksum?: boolean
  key?: number
  sequence?: number
  version?: number
  protocol?: number
}

export function gre(options: GreOptions = {}): Layer {
  const { checksum = false, key, sequence, version = 0 } = options
  return {
    protocol: 47,
    encode: (rest, next) => {
      const flags =
        (checksum ? 0x8000 : 0) |
        (key === undefined ? 0 : 0x2000) |
        (sequence === undefined ? 0 : 0x1000) |
        version
      return Buffer.concat([
        uint16(flags),
        uint16(options.protocol ?? etherTypeOf(next)),
        ...(checksum ? [uint32(0)] : []),
        ...(key === undefined ? [] : [uint32(key)]),
        ...(sequence === undefined ? [] : [uint32(sequence)]),
        rest,
      ])
    },
  }
}

/** Comes after udp({ dst: 4789 }). */
export function vxlan(vni = 5000, flags = 0x08): Layer {
  return { encode: (rest) => Buffer.concat([uint32(flags * 2 ** 24), uint32(vni * 256), rest]) }
}

/** BPF_PROG_TEST_RUN of an skb, by EtherType, wants the fixed IP header in the packet. */
export function isRefusedAsSkb(packet: Buffer): boolean {
  const type = packet.readUInt16BE(12)
  return (type === 0x0800 && packet.length < 14 + 20) || (type === 0x86dd && packet.length < 14 + 40)
}

function etherTypeOf(layer: Layer | undefined): number {
  return layer?.etherType ?? 0x88b5 // IEEE's number for local experiments
}

function uint16(value: number): Buffer {
  const buffer = Buffer.alloc(2)
  buffer.writeUInt16BE(value)
  return buffer
}

function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeUInt32BE(value >>> 0)
  return buffer
}
