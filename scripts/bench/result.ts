// SPDX-License-Identifier: Apache-2.0

/** One figure of `npm run bench`, always beside a reference that was measured in the same run or is public. */
export interface BenchResult {
  /** `xdp.cost.1`, `drain`, … */
  id: string
  /** The figure: the median of `runs`. */
  value: number
  unit: string
  reference: { what: string; value: number }
  /** value / reference.value. */
  ratio: number
  /** What is to be reached, in words: `ratio <= 0.6`. */
  goal: string
  met: boolean
  /** Each run's value; at least five unless the run itself is long. */
  runs: number[]
}

/** What a bench module offers for an id; `log` tells people what takes so long. */
export type Bench = (options: BenchOptions) => Promise<BenchResult[]>

export interface BenchOptions {
  log: (line: string) => void
  /** Seconds for the long ones (e2e.flows); undefined for each bench's default. */
  seconds: number | undefined
  /** Flows for those that look through many (store.query.100m). */
  rows: number | undefined
}

/** The middle value; of an even number, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const half = sorted.length / 2
  if (sorted.length === 0) return Number.NaN
  if (sorted.length % 2 === 1) return sorted[Math.floor(half)] ?? Number.NaN
  return ((sorted[half - 1] ?? Number.NaN) + (sorted[half] ?? Number.NaN)) / 2
}
