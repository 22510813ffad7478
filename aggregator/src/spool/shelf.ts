// SPDX-License-Identifier: Apache-2.0
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FlowdamError } from '@flowdam/common'
import { type SealedSegment, segmentPaths } from './segment.js'

/** Sealed segments on the disk, oldest first, which wait for the loader. */
export class Shelf {
  readonly #directory: string
  readonly #segments: SealedSegment[] = []
  readonly #taken = new Set<SealedSegment>()
  #bytes = 0
  /** The newest sidecar, which must outlive its segment: it has all positions. */
  #newestSidecar: string | undefined
  readonly #maxDeadLetterBytes: number
  #deadLetterBytes = 0
  readonly #onGone: () => void

  /** `onGone` is called when a segment has gone and there is room. */
  constructor(directory: string, maxDeadLetterBytes: number, onGone: () => void) {
    this.#directory = directory
    this.#maxDeadLetterBytes = maxDeadLetterBytes
    this.#onGone = onGone
  }

  get bytes(): number {
    return this.#bytes
  }

  get count(): number {
    return this.#segments.length
  }

  get oldest(): SealedSegment | undefined {
    return this.#segments[0]
  }

  get deadLetters(): string {
    return join(this.#directory, 'dead-letter')
  }

  /** As last measured. */
  get deadLetterBytes(): number {
    return this.#deadLetterBytes
  }

  /** Somebody may have taken some away. */
  async measureDeadLetters(): Promise<void> {
    const names = await readdir(this.deadLetters).catch(() => [])
    const sizes = await Promise.all(
      names.map((name) =>
        stat(join(this.deadLetters, name)).then(
          ({ size }) => size,
          () => 0,
        ),
      ),
    )
    this.#deadLetterBytes = sizes.reduce((sum, size) => sum + size, 0)
  }

  add(segment: SealedSegment): void {
    this.#segments.push(segment)
    this.#bytes += segment.bytes
  }

  /** A newer sidecar is on the disk, if any is: the one before goes, unless its segment is still here. */
  async setNewestSidecar(path: string | undefined): Promise<void> {
    const before = this.#newestSidecar
    this.#newestSidecar = path
    if (before === undefined || before === path) return
    if (!this.#segments.some((one) => segmentPaths(this.#directory, one.number).sidecar === before)) {
      await rm(before, { force: true })
    }
  }

  /** The oldest that nobody has taken. */
  take(): SealedSegment | undefined {
    const segment = this.#segments.find((one) => !this.#taken.has(one))
    if (segment) this.#taken.add(segment)
    return segment
  }

  giveBack(segment: SealedSegment): void {
    this.#taken.delete(segment)
  }

  async release(segment: SealedSegment): Promise<void> {
    await rm(segment.path, { force: true })
    this.#forget(segment)
    const { sidecar } = segmentPaths(this.#directory, segment.number)
    if (sidecar !== this.#newestSidecar) await rm(sidecar, { force: true })
  }

  async deadLetter(segment: SealedSegment, reason: string): Promise<string> {
    await this.measureDeadLetters()
    if (this.#deadLetterBytes + segment.bytes > this.#maxDeadLetterBytes) {
      throw new FlowdamError('FD_STORE_DEAD_LETTERS', `no room in ${this.deadLetters} for another segment`, {
        remedy: 'see what is wrong with those that are there, then take them away',
      })
    }
    await mkdir(this.deadLetters, { recursive: true })
    const target = join(this.deadLetters, `${segment.id}.seg`)
    const note = { ...segment, key: String(segment.key), agents: [...segment.agents], reason }
    await writeFile(`${target}.json`, `${JSON.stringify(note, undefined, 2)}\n`)
    await rename(segment.path, target)
    this.#deadLetterBytes += segment.bytes
    await this.release(segment)
    return target
  }

  #forget(segment: SealedSegment): void {
    const at = this.#segments.indexOf(segment)
    if (at < 0) return
    this.#segments.splice(at, 1)
    this.#taken.delete(segment)
    this.#bytes -= segment.bytes
    this.#onGone()
  }
}
