// SPDX-License-Identifier: Apache-2.0
import { createReadStream } from 'node:fs'
import { appendFile, mkdir, readdir, readFile, rename, rm, stat, truncate } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { crc32 } from 'node:zlib'
import { RECORD_SIZE } from '@flowdam/proto'
import { Losses } from './losses.js'
import { Positions } from './positions.js'
import { type SealedSegment, SegmentContent, segmentPaths } from './segment.js'
import { encodeEntry, type ParsedSidecar, parseSidecar, recordBytes } from './sidecar.js'

export interface Recovered {
  /** By number; those with records. */
  segments: SealedSegment[]
  positions: Positions
  losses: Losses
  /** The number for the next segment. */
  next: number
  /** The newest sidecar; it must stay until a newer one is on disk, for it holds the positions. */
  newestSidecar: string | undefined
  /** Bytes that were cut: written, but never acknowledged. */
  tornBytes: number
  /** Data files without a usable sidecar, moved away. */
  unreadable: string[]
}

/** Reads what a spool folder holds, cuts torn tails, seals what was open. */
export async function recoverSpool(directory: string, deadLetters: string): Promise<Recovered> {
  const numbers = await segmentNumbers(directory)
  const newest = numbers.at(-1) ?? 0
  const recovered: Recovered = {
    segments: [],
    positions: new Positions(),
    losses: new Losses(),
    next: newest + 1,
    newestSidecar: undefined,
    tornBytes: 0,
    unreadable: [],
  }
  // The newest sidecar with a whole header has all positions of those before it.
  const parsed = new Map<number, ParsedSidecar>()
  for (const number of numbers) {
    const sidecar = await readSidecar(segmentPaths(directory, number).sidecar)
    parsed.set(number, sidecar)
    if (!sidecar.header) continue
    recovered.positions.merge(sidecar.header.positions)
    // Sums, not maxima: the newest header has those of all sidecars before it.
    recovered.losses = new Losses()
    recovered.losses.merge(sidecar.header.lost)
    recovered.newestSidecar = segmentPaths(directory, number).sidecar
  }
  for (const number of numbers) {
    const sidecar = parsed.get(number)
    if (sidecar) await recoverSegment(directory, deadLetters, number, sidecar, recovered)
  }
  return recovered
}

async function recoverSegment(
  directory: string,
  deadLetters: string,
  number: number,
  sidecar: ParsedSidecar,
  recovered: Recovered,
): Promise<void> {
  const paths = segmentPaths(directory, number)
  const size = await sizeOf(paths.data)
  const { header } = sidecar
  if (!header) {
    if (size > 0) recovered.unreadable.push(await moveAway(paths.data, deadLetters))
    await rm(paths.data, { force: true })
    await rm(paths.sidecar, { force: true })
    return
  }
  const keepSidecar = paths.sidecar === recovered.newestSidecar
  if (size >= 0) await cut(sidecar, paths, size, recovered)
  // Without a data file the segment was stored and deleted; what its sidecar says of positions still counts.
  const content = new SegmentContent(header.baseUnixMs)
  for (const commit of sidecar.commits) {
    content.add(commit)
    if (keepSidecar) recovered.losses.merge(commit.lost)
    for (const [agent, boot, seq] of commit.batches) recovered.positions.set(agent, boot, seq)
  }
  const bytes = recordBytes(sidecar)
  if (size >= 0 && bytes > 0) {
    recovered.segments.push(content.sealed(header, paths.data, bytes, true))
  } else {
    await rm(paths.data, { force: true })
    if (!keepSidecar) await rm(paths.sidecar, { force: true })
  }
}

/** Brings both files back to the last commit whose bytes are all there. */
async function cut(
  sidecar: ParsedSidecar,
  paths: { data: string; sidecar: string },
  size: number,
  recovered: Recovered,
): Promise<void> {
  const whole = await intactCommits(paths.data, sidecar)
  if (whole < sidecar.commits.length) {
    sidecar.commits.length = whole
    sidecar.sealed = false
    const { header, commits } = sidecar
    sidecar.validBytes = [header, ...commits].reduce(
      (sum, entry) => sum + (entry ? Buffer.byteLength(encodeEntry(entry)) : 0),
      0,
    )
  }
  const bytes = recordBytes(sidecar)
  if (size > bytes) {
    await truncate(paths.data, bytes)
    recovered.tornBytes += size - bytes
  }
  await truncate(paths.sidecar, sidecar.validBytes)
  if (!sidecar.sealed) await seal(paths.sidecar, bytes)
}

/** The next start finds the same without the seal: on a full disk it is left out. */
async function seal(path: string, bytes: number): Promise<void> {
  const { size } = await stat(path)
  try {
    await appendFile(path, encodeEntry({ kind: 'seal', bytes }))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    await truncate(path, size)
  }
}

/** How many commits, from the first, have all their bytes with the right CRC. Reads the file once, in a stream. */
async function intactCommits(path: string, sidecar: ParsedSidecar): Promise<number> {
  const { commits } = sidecar
  let index = 0
  let left = commits[0]?.bytes ?? 0
  let crc = 0
  // A commit without bytes (drop markers only) is whole as it is.
  const settle = (): boolean => {
    for (let commit = commits[index]; commit && left === 0; commit = commits[index]) {
      if (crc !== commit.crc || commit.bytes % RECORD_SIZE !== 0) return false
      crc = 0
      left = commits[++index]?.bytes ?? 0
    }
    return true
  }
  if (!settle()) return index
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    let data = chunk as Buffer
    while (data.length > 0 && index < commits.length) {
      const part = data.subarray(0, left)
      crc = crc32(part, crc)
      left -= part.length
      data = data.subarray(part.length)
      if (!settle()) return index
    }
  }
  return index
}

async function segmentNumbers(directory: string): Promise<number[]> {
  const numbers = new Set<number>()
  for (const name of await readdir(directory)) {
    const match = /^(\d{10})\.(seg|idx)$/.exec(name)
    if (match) numbers.add(Number(match[1]))
  }
  return [...numbers].sort((a, b) => a - b)
}

async function readSidecar(path: string): Promise<ParsedSidecar> {
  try {
    return parseSidecar(await readFile(path))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return parseSidecar(new Uint8Array())
    throw error
  }
}

/** -1 if there is none. */
async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return -1
    throw error
  }
}

async function moveAway(path: string, deadLetters: string): Promise<string> {
  await mkdir(deadLetters, { recursive: true })
  const target = join(deadLetters, basename(path))
  await rename(path, target)
  return target
}
