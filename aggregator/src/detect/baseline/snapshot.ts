// SPDX-License-Identifier: Apache-2.0
//
// The file that keeps what was learned: a line of JSON that says how the rest is laid out, then records of one size
// (little-endian), then SHA-256 of all of it. Written beside the old one and renamed over it.
import { createHash } from 'node:crypto'
import { closeSync, fsyncSync, openSync, readFileSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { MINUTES, Profiles } from './profiles.js'
import type { Channel } from './rule.js'
import { HOURS_PER_WEEK } from './week.js'

const VERSION = 1
/** Key, hour, active, minutes of the hour. */
const HEAD_BYTES = 16 + 4 + 4 + 4
/** Hours learned, the week, the hour's minutes. */
const CHANNEL_BYTES = (1 + HOURS_PER_WEEK + MINUTES) * 2
const HASH_BYTES = 32
/** Profiles written between two turns of the event loop. */
const CHUNK = 256

/** One profile on its way to or from the file. */
export interface StoredProfile {
  /** The address; zeros for many addresses together, which come first, in the order of `groups`. */
  key: Uint8Array
  profiles: Profiles
  index: number
}

interface Header {
  flowdam: 'baselines'
  version: number
  channels: Channel[]
  groups: string[]
}

/** Replaces the file. What is learned meanwhile may or may not be in it; each profile is whole. */
export async function writeSnapshot(
  path: string,
  channels: readonly Channel[],
  groups: readonly string[],
  stored: Iterable<StoredProfile>,
): Promise<void> {
  const temporary = `${path}.new`
  const file = await open(temporary, 'w', 0o640)
  try {
    const hash = createHash('sha256')
    const write = async (bytes: Buffer) => {
      hash.update(bytes)
      await file.writeFile(bytes)
    }
    const header: Header = {
      flowdam: 'baselines',
      version: VERSION,
      channels: [...channels],
      groups: [...groups],
    }
    await write(Buffer.from(`${JSON.stringify(header)}\n`))
    let chunk: Buffer[] = []
    for (const each of stored) {
      chunk.push(encode(each))
      if (chunk.length < CHUNK) continue
      await write(Buffer.concat(chunk))
      await nextTurn()
      chunk = []
    }
    await write(Buffer.concat(chunk))
    await file.writeFile(hash.digest())
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
  const directory = openSync(dirname(path), 'r')
  fsyncSync(directory)
  closeSync(directory)
}

function encode({ key, profiles, index }: StoredProfile): Buffer {
  const { channels, hours, minutes } = profiles
  const record = Buffer.alloc(HEAD_BYTES + channels * CHANNEL_BYTES)
  record.set(key)
  record.writeUInt32LE(profiles.hour[index] as number, 16)
  record.writeUInt32LE(profiles.active[index] as number, 20)
  record.writeUInt32LE(profiles.filled[index] as number, 24)
  let at = HEAD_BYTES
  for (let channel = 0; channel < channels; channel++) {
    at = record.writeUInt16LE(profiles.learnedOf(index, channel), at)
    const week = profiles.weekOf(index, channel)
    for (let i = 0; i < HOURS_PER_WEEK; i++, at += 2) record.writeUInt16LE(hours[week + i] as number, at)
    const hour = (index * channels + channel) * MINUTES
    for (let i = 0; i < MINUTES; i++, at += 2) record.writeUInt16LE(minutes[hour + i] as number, at)
  }
  return record
}

export interface Snapshot {
  channels: readonly Channel[]
  groups: readonly string[]
  /** One after the other; each is overwritten by the next. */
  records(): IterableIterator<StoredProfile>
}

/** Reads and checks the whole file; undefined when there is none. Throws on anything that is not a whole snapshot. */
export function readSnapshot(path: string): Snapshot | undefined {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw cause
  }
  const body = bytes.subarray(0, Math.max(0, bytes.length - HASH_BYTES))
  if (!createHash('sha256').update(body).digest().equals(bytes.subarray(body.length))) {
    throw new Error('its checksum is wrong')
  }
  const end = body.indexOf('\n')
  const header = JSON.parse(body.toString('utf8', 0, end)) as Header
  if (header.flowdam !== 'baselines' || header.version !== VERSION) {
    throw new Error(`it has version ${header.version}, this program writes ${VERSION}`)
  }
  const size = HEAD_BYTES + header.channels.length * CHANNEL_BYTES
  if ((body.length - end - 1) % size !== 0) throw new Error('its length is wrong')
  const { channels, groups } = header
  const profiles = new Profiles(1, channels.length)
  return {
    channels,
    groups,
    *records() {
      for (let at = end + 1; at < body.length; at += size) {
        const record = body.subarray(at, at + size)
        decode(record, profiles)
        yield { key: Uint8Array.from(record.subarray(0, 16)), profiles, index: 0 }
      }
    },
  }
}

function decode(record: Buffer, into: Profiles): void {
  into.clear(0, record.readUInt32LE(16))
  into.active[0] = record.readUInt32LE(20)
  into.filled[0] = Math.min(MINUTES, record.readUInt32LE(24))
  let at = HEAD_BYTES
  for (let channel = 0; channel < into.channels; channel++) {
    into.learned[channel] = record.readUInt16LE(at)
    at += 2
    const week = channel * HOURS_PER_WEEK
    for (let i = 0; i < HOURS_PER_WEEK; i++, at += 2) into.hours[week + i] = record.readUInt16LE(at)
    const minutes = channel * MINUTES
    for (let i = 0; i < MINUTES; i++, at += 2) into.minutes[minutes + i] = record.readUInt16LE(at)
  }
}
