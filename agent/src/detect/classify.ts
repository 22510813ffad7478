// SPDX-License-Identifier: Apache-2.0
import { DeltaClass, Mark, vectorOfPort } from '@flowdam/proto'

export const TCP = 6
const UDP = 17
const ICMP = 1
const ICMPV6 = 58
export const SYN = 0x02
const ACK = 0x10
/** Marks that a host delta entry keeps. */
const DELTA_MARKS = Mark.fragment | Mark.dropped

/** Class of a host delta entry, from the protocol and the TCP flags seen so far. */
export function deltaClass(protocol: number, tcpFlags: number): number {
  switch (protocol) {
    case TCP:
      if (tcpFlags & ACK) return DeltaClass.tcp
      return tcpFlags & SYN ? DeltaClass.tcpSyn : DeltaClass.tcpOther
    case UDP:
      return DeltaClass.udp
    case ICMP:
    case ICMPV6:
      return DeltaClass.icmp
    default:
      return DeltaClass.other
  }
}

/** Bytes 16-19 of a host delta entry as a little-endian word. `remotePort` counts for UDP only. */
export function deltaMeta(
  direction: number,
  protocol: number,
  tcpFlags: number,
  marks: number,
  remotePort: number,
): number {
  const vector = protocol === UDP ? (vectorOfPort[remotePort] as number) : 0
  const kept = marks & DELTA_MARKS
  return (direction | (deltaClass(protocol, tcpFlags) << 8) | (kept << 16) | (vector << 24)) >>> 0
}
