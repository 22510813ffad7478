// SPDX-License-Identifier: Apache-2.0
import { native } from './native.js'
import { Membarrier } from './types.js'

const CLOCK_MONOTONIC_COARSE = 6
/** Numbers differ by architecture; glibc has no wrapper for membarrier. */
const MEMBARRIER_SYSCALL: Record<string, number> = { x64: 324, arm64: 283 }

export const closeFd = (fd: number): number => native().closeFd(fd)

/** The interface's index, 0 when there is none of that name. */
export const ifNameToIndex = (name: string): number => native().ifNameToIndex(name)

/** SIOCETHTOOL: `command` is a struct of linux/ethtool.h, answered in place. False when the driver does not know it. */
export function ethtool(name: string, command: Buffer): boolean {
  const AF_INET = 2
  const SOCK_DGRAM = 2
  const SIOCETHTOOL = 0x8946
  const socket = native().socket(AF_INET, SOCK_DGRAM, 0)
  if (socket < 0) return false
  const padded = Buffer.alloc(16)
  padded.write(name.slice(0, 15), 'latin1')
  const request = { name: [...padded], data: command, unused: new Array(16).fill(0) }
  const status = native().ioctl(socket, SIOCETHTOOL, request)
  native().closeFd(socket)
  return status >= 0
}

/** Which MEMBARRIER_CMD_ the kernel has, as bits; negative when it has none. */
export function membarrierQuery(): number {
  const number = MEMBARRIER_SYSCALL[process.arch]
  return number === undefined ? -1 : native().membarrier(number, Membarrier.query, 0, 0)
}

/** MEMBARRIER_CMD_GLOBAL on a thread of koffi's pool: waits for an RCU grace period, 4-8 ms. */
export function membarrierGlobal(): Promise<number> {
  const number = MEMBARRIER_SYSCALL[process.arch] ?? 0
  return new Promise((resolve, reject) =>
    native().membarrier.async(number, Membarrier.global, 0, 0, (error, status) =>
      error ? reject(error) : resolve(status),
    ),
  )
}

/** CLOCK_MONOTONIC_COARSE in nanoseconds: the clock that the programs read. Exact: 2^53 ns are 104 days, hence two halves. */
export function coarseClock(): { seconds: number; nanoseconds: number } {
  const time: { sec?: number; nsec?: number } = {}
  native().clockGettime(CLOCK_MONOTONIC_COARSE, time)
  return { seconds: time.sec ?? 0, nanoseconds: time.nsec ?? 0 }
}
