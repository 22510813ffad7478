// SPDX-License-Identifier: Apache-2.0
import { formatCount } from '../output/units.js'
import { type Finding, ok, warning } from './finding.js'
import type { Sources } from './sources.js'

export interface Softnet {
  /** Packets thrown away because a CPU's backlog was full. */
  dropped: number
  /** Times that a CPU had to stop receiving with work left. */
  squeezed: number
}

/** Sums of /proc/net/softnet_stat over the CPUs: columns 2 and 3, in hexadecimal (net/core/net-procfs.c). */
export function readSoftnet(sources: Sources): Softnet | undefined {
  const text = sources.read('/proc/net/softnet_stat')
  if (text === undefined) return undefined
  const rows = text.split('\n').map((line) =>
    line
      .trim()
      .split(/\s+/)
      .map((column) => Number.parseInt(column, 16)),
  )
  const sum = (column: number) => rows.reduce((total, row) => total + (row[column] || 0), 0)
  return { dropped: sum(1), squeezed: sum(2) }
}

export function checkSoftnet(
  before: Softnet | undefined,
  after: Softnet | undefined,
  seconds: number,
): Finding[] {
  if (!before || !after) return []
  const dropped = (after.dropped - before.dropped) / seconds
  const squeezed = (after.squeezed - before.squeezed) / seconds
  const findings: Finding[] = []
  if (dropped > 0) {
    findings.push(
      warning(
        'receive.backlog',
        `${formatCount(dropped)} packets/s are dropped because a CPU's backlog is full`,
        'sysctl -w net.core.netdev_max_backlog=10000',
      ),
    )
  }
  if (squeezed > 0) {
    findings.push(
      warning(
        'receive.budget',
        `CPUs stop receiving with packets left, ${formatCount(squeezed)} times a second`,
        'sysctl -w net.core.netdev_budget=600 net.core.netdev_budget_usecs=8000',
      ),
    )
  }
  return findings.length > 0 ? findings : [ok('receive.backlog', 'no CPU falls behind in receiving')]
}
