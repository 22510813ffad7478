// SPDX-License-Identifier: Apache-2.0
import { interfaceDemo } from './interface-demo.js'
import { labDemo } from './lab-demo.js'

export interface DemoOptions {
  /** A real interface; undefined: the network of namespaces. */
  interface?: string
  /** Ours, CIDR; needed with an interface. */
  networks: readonly string[]
  thresholdPps: number
  /** Undefined: until Ctrl-C. */
  durationS?: number
}

/** Runs until Ctrl-C, SIGTERM or the end of the duration, and leaves nothing behind. */
export async function demo(options: DemoOptions): Promise<void> {
  const end = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => end.abort())
  const timer =
    options.durationS === undefined ? undefined : setTimeout(() => end.abort(), options.durationS * 1000)
  try {
    if (options.interface === undefined) await labDemo(options.thresholdPps, end.signal)
    else await interfaceDemo({ ...options, interface: options.interface }, end.signal)
  } finally {
    clearTimeout(timer)
  }
}
