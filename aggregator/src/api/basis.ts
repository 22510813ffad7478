// SPDX-License-Identifier: Apache-2.0
import { formatRate } from '@flowdam/common'
import type { LearnedState } from '../detect/baseline/report.js'

/** From what a threshold was learned, or how far learning is, in words. */
export function basisOf(learned: LearnedState | undefined): string {
  if (!learned) return ''
  const { inForce, usual, multiple, floor, ceiling, learnedHours, neededHours, hour } = learned
  if (!inForce) {
    if (learnedHours === 0 && usual === undefined)
      return 'nothing learned yet: too little traffic, or too new'
    return `learning: ${learnedHours} of ${neededHours} hours`
  }
  const product = multiple * (usual ?? 0)
  const bound =
    product > ceiling
      ? `, held at the ceiling of ${formatRate(ceiling)}`
      : product < floor
        ? `, raised to the floor of ${formatRate(floor)}`
        : ''
  return `${multiple} × ${formatRate(Math.round(usual ?? 0))}, which is usual around ${hour}${bound}`
}
