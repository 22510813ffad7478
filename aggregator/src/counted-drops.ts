// SPDX-License-Identifier: Apache-2.0
import type { Baselines } from './detect/baseline/baselines.js'
import type { Detector } from './detect/detector.js'
import { DropCounter } from './drops.js'

/**
 * The drops, with the detector's brought up to date before each look: it counts for itself, in its hot path, and what it
 * lost becomes part of the one list.
 */
export class CountedDrops extends DropCounter {
  readonly #drops: DropCounter
  readonly #detector: Pick<Detector, 'losses'>
  readonly #baselines: Pick<Baselines, 'losses'>
  /** What is in `#drops` already. */
  #counted = {
    notProtected: 0,
    tableFull: 0,
    prefixesFull: 0,
    late: 0,
    refused: 0,
    evicted: 0,
    damagedFiles: 0,
  }

  constructor(drops: DropCounter, detector: Pick<Detector, 'losses'>, baselines: Pick<Baselines, 'losses'>) {
    super()
    this.#drops = drops
    this.#detector = detector
    this.#baselines = baselines
  }

  override get(...which: Parameters<DropCounter['get']>): number {
    this.#update()
    return this.#drops.get(...which)
  }

  override snapshot(): ReturnType<DropCounter['snapshot']> {
    this.#update()
    return this.#drops.snapshot()
  }

  #update(): void {
    const { notProtected, tableFull, prefixesFull, late } = this.#detector.losses
    const { refused, evicted, damagedFiles } = this.#baselines.losses
    const before = this.#counted
    this.#drops.add('detect', 'not_protected', notProtected - before.notProtected)
    this.#drops.add('detect', 'table_full', tableFull - before.tableFull)
    this.#drops.add('detect', 'prefixes_full', prefixesFull - before.prefixesFull)
    this.#drops.add('detect', 'late', late - before.late)
    this.#drops.add('detect', 'baseline_full', refused - before.refused)
    this.#drops.add('detect', 'baseline_evicted', evicted - before.evicted)
    this.#drops.add('detect', 'baseline_damaged', damagedFiles - before.damagedFiles)
    this.#counted = { notProtected, tableFull, prefixesFull, late, refused, evicted, damagedFiles }
  }
}
