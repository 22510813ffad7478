// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { encodeEntry, parseSidecar, recordBytes, type SidecarCommit, type SidecarEntry } from './sidecar.js'

const header: SidecarEntry = {
  kind: 'header',
  version: 1,
  spool: 7,
  segment: 3,
  baseUnixMs: 1_700_000_000_000,
  createdUnixMs: 1_703_000_000_000,
  positions: { edge1: { '12': 40 } },
}

/** A sidecar of commits with these sizes, as entries and as where each entry ends. */
function sidecarOf(sizes: number[]): { content: Buffer; ends: number[]; commits: SidecarCommit[] } {
  let offset = 0
  const commits = sizes.map((records, index): SidecarCommit => {
    const bytes = records * 64
    const commit = {
      kind: 'commit',
      offset,
      bytes,
      crc: index,
      minMs: 1,
      maxMs: 2,
      batches: [['edge1', 12, index + 1, records, 0]],
    } satisfies SidecarCommit
    offset += bytes
    return commit
  })
  const lines = [header, ...commits, { kind: 'seal', bytes: offset } as const].map(encodeEntry)
  const ends: number[] = []
  let end = 0
  for (const line of lines) {
    end += Buffer.byteLength(line)
    ends.push(end)
  }
  return { content: Buffer.from(lines.join('')), ends, commits }
}

const sizes = fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 12 })

describe('sidecar', () => {
  it('reads back what was written', () => {
    fc.assert(
      fc.property(sizes, (records) => {
        const { content, commits } = sidecarOf(records)
        const parsed = parseSidecar(content)
        assert.deepEqual(parsed, { header, commits, sealed: true, validBytes: content.length })
        assert.equal(
          recordBytes(parsed),
          records.reduce((sum, size) => sum + size * 64, 0),
        )
      }),
    )
  })

  it('cut anywhere, keeps exactly the entries that are whole', () => {
    fc.assert(
      fc.property(sizes, fc.nat(), (records, where) => {
        const { content, ends, commits } = sidecarOf(records)
        const cut = where % (content.length + 1)
        const parsed = parseSidecar(content.subarray(0, cut))
        const whole = ends.filter((end) => end <= cut).length
        assert.equal(parsed.header !== undefined, whole >= 1)
        assert.deepEqual(parsed.commits, commits.slice(0, Math.max(0, whole - 1)))
        assert.equal(parsed.sealed, whole === ends.length)
        assert.equal(parsed.validBytes, ends[whole - 1] ?? 0)
      }),
      { numRuns: 500 },
    )
  })

  it('one flipped bit anywhere ends it there, never later and never with an exception', () => {
    fc.assert(
      fc.property(sizes, fc.nat(), fc.integer({ min: 0, max: 7 }), (records, where, bit) => {
        const { content, ends, commits } = sidecarOf(records)
        const at = where % content.length
        content[at] = (content[at] as number) ^ (1 << bit)
        const parsed = parseSidecar(content)
        const before = ends.filter((end) => end <= at).length
        assert.deepEqual(parsed.commits, commits.slice(0, Math.max(0, before - 1)))
        assert.equal(parsed.validBytes, ends[before - 1] ?? 0)
      }),
      { numRuns: 500 },
    )
  })

  it('takes arbitrary bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
        assert.equal(parseSidecar(bytes).validBytes, 0)
      }),
    )
  })

  it('does not take commits that leave a hole or overlap', () => {
    const { commits } = sidecarOf([10, 10])
    const [first, second] = commits as [SidecarCommit, SidecarCommit]
    const text = [header, first, { ...second, offset: 641 }].map(encodeEntry).join('')
    assert.deepEqual(parseSidecar(Buffer.from(text)).commits, [first])
  })
})
