// SPDX-License-Identifier: Apache-2.0

/** Readers of what `ethtool` prints. Lines that are not understood are passed over: versions and drivers differ. */

export interface Feature {
  on: boolean
  /** The driver does not let it be changed. */
  fixed: boolean
}

/** `ethtool -k`: `large-receive-offload: off [fixed]`. */
export function parseFeatures(text: string): Map<string, Feature> {
  const features = new Map<string, Feature>()
  for (const line of text.split('\n')) {
    const match = /^\s*([a-z0-9-]+):\s+(on|off)\b(.*)$/i.exec(line)
    if (match?.[1])
      features.set(match[1], { on: match[2] === 'on', fixed: (match[3] ?? '').includes('[fixed]') })
  }
  return features
}

export interface Settings {
  maximum: Map<string, number>
  current: Map<string, number>
}

/** `ethtool -g` and `-l`: two blocks of `RX:  256`, names in lower case; "n/a" counts as absent. */
export function parseSettings(text: string): Settings {
  const settings: Settings = { maximum: new Map(), current: new Map() }
  let block: Map<string, number> | undefined
  for (const line of text.split('\n')) {
    if (/^Pre-set maximums:/i.test(line)) block = settings.maximum
    else if (/^Current hardware settings:/i.test(line)) block = settings.current
    const match = /^\s*([^:]+):\s+(\d+)\s*$/.exec(line)
    if (match?.[1] && block) block.set(match[1].toLowerCase(), Number(match[2]))
  }
  return settings
}

/** `ethtool -S`: `     rx_no_buffer_count: 12`; also names with colons, as `[0]: rx_discards: 12`. */
export function parseStatistics(text: string): Map<string, number> {
  const statistics = new Map<string, number>()
  for (const line of text.split('\n')) {
    const match = /^\s+(\S.*?)\s*:\s*(\d+)\s*$/.exec(line)
    if (match?.[1]) statistics.set(match[1], Number(match[2]))
  }
  return statistics
}

/** `ethtool -x`: the receive queues that the indirection table spreads over. */
export function parseIndirection(text: string): Set<number> {
  const queues = new Set<number>()
  for (const line of text.split('\n')) {
    const match = /^\s*\d+:((?:\s+\d+)+)\s*$/.exec(line)
    for (const queue of match?.[1]?.trim().split(/\s+/) ?? []) queues.add(Number(queue))
  }
  return queues
}

/** `ethtool -i`: `driver: veth`. */
export function parseDriver(text: string): string | undefined {
  return /^driver:\s*(.+?)\s*$/m.exec(text)?.[1]
}
