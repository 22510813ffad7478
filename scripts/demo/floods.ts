// SPDX-License-Identifier: Apache-2.0

export interface Flood {
  /** For people. */
  what: string
  victim: string
  /** Packets per second. */
  rate: number
  seconds: number
  /** Options of flowdam-traffic. */
  args: readonly string[]
}

/** One after the other, then again from the start. */
export function floods(thresholdPps: number): Flood[] {
  const flood = (
    what: string,
    victim: string,
    factor: number,
    seconds: number,
    args: readonly string[],
  ): Flood => ({
    what,
    victim,
    rate: factor * thresholdPps,
    seconds,
    args: [
      ...args,
      ...['--victim', victim, '--rate', String(factor * thresholdPps), '--duration', String(seconds)],
    ],
  })
  return [
    flood('UDP flood', '203.0.113.10', 5, 8, ['--profile', 'udp-flood', '--flows', '500']),
    flood('SYN flood over IPv6', '2001:db8:1::a', 3, 8, ['--profile', 'syn-flood', '--flows', '5000']),
    flood('DNS amplification', '203.0.113.77', 3, 8, ['--profile', 'amplification', '--flows', '200']),
    flood('flood from invented sources', '203.0.113.42', 4, 8, ['--profile', 'spoofed-flood']),
  ]
}
