// SPDX-License-Identifier: Apache-2.0
//
// bpf/layout.h and its copy in TypeScript, compared by what the compiler made of the first.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  CONTROL_SIZE,
  ControlOffset,
  geometry,
  HASH_KEYS,
  IFACE_BUCKETS,
  IFACE_ENTRY_SIZE,
  IFACE_PROBES,
  IFACE_UNKNOWN,
  IfaceEntryOffset,
  IfaceFlag,
  INDEX_BUCKET_SIZE,
  LAYOUT_VERSION,
  LEDGER_FIELDS,
  LEDGER_SIZE,
  MAX_IFACES,
  mapEntries,
  OVERFLOW_SLOTS,
  PART_STATE_SIZE,
  PartStateOffset,
  REASON_WORDS,
  REASONS,
  SETTINGS_SIZE,
  SettingsOffset,
} from '@flowdam/agent'
import { Mark, RECORD_SIZE, RecordOffset } from '@flowdam/proto'
import { defined, enumOf, structsOf } from './object-file.js'

const structs = structsOf()

/** hash_keys → hashKeys. */
function camelCase(name: string): string {
  return name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
}

function compare(name: string, size: number, offsets: Readonly<Record<string, number>>): void {
  const struct = structs.get(name)
  assert.ok(struct, `the object's BTF has no struct ${name}`)
  assert.equal(struct.size, size, `size of struct ${name}`)
  const there = Object.fromEntries(struct.members.map((member) => [camelCase(member.name), member.offset]))
  for (const [field, offset] of Object.entries(offsets)) {
    assert.equal(there[field], offset, `struct ${name}, ${field}`)
  }
}

describe('layout.h and layout.ts', () => {
  it('agree on the flow record, all of it', () => {
    compare('flow_record', RECORD_SIZE, RecordOffset)
    assert.equal(Object.keys(RecordOffset).length, structs.get('flow_record')?.members.length)
  })

  it('agree on the ledger', () => {
    compare('ledger', LEDGER_SIZE, Object.fromEntries(LEDGER_FIELDS.map((field, i) => [field, i * 8])))
  })

  it('agree on part states, control, interfaces, settings and index buckets', () => {
    compare('part_state', PART_STATE_SIZE, PartStateOffset)
    compare('control', CONTROL_SIZE, ControlOffset)
    compare('iface_entry', IFACE_ENTRY_SIZE, IfaceEntryOffset)
    compare('settings', SETTINGS_SIZE, SettingsOffset)
    compare('index_bucket', INDEX_BUCKET_SIZE, {})
    const keys = structs.get('settings')?.members
    assert.equal((keys?.[1]?.offset ?? 0) / 4, HASH_KEYS)
  })

  it('agree on the numbers', () => {
    assert.deepEqual(
      [LAYOUT_VERSION, MAX_IFACES, IFACE_UNKNOWN, OVERFLOW_SLOTS, IFACE_BUCKETS, IFACE_PROBES, RECORD_SIZE],
      [
        'LAYOUT_VERSION',
        'MAX_IFACES',
        'IFACE_UNKNOWN',
        'OVERFLOW_SLOTS',
        'IFACE_BUCKETS',
        'IFACE_PROBES',
        'RECORD_SIZE',
      ].map((name) => defined(`FD_${name}`)),
    )
  })

  it('agree on reasons, marks and interface flags, in order and by name', () => {
    const reasons = enumOf('fd_reason')
    assert.equal(reasons.get('FD_REASON_COUNT'), REASON_WORDS)
    reasons.delete('FD_REASON_COUNT')
    assert.deepEqual(
      [...reasons.keys()].map((name) => name.slice('FD_REASON_'.length).toLowerCase()),
      [...REASONS],
    )
    assert.deepEqual(
      [...enumOf('fd_mark')].map(([name, value]) => [name.slice('FD_MARK_'.length).toLowerCase(), value]),
      Object.entries(Mark),
    )
    assert.deepEqual([...enumOf('fd_iface_flag').values()], Object.values(IfaceFlag))
  })

  it('agree on the order of blocks: room for all of them, in whole pages', () => {
    const sizes = geometry(4, 65_536)
    const entries = mapEntries(sizes)
    assert.equal(entries.flow_log, 2 * 4 * 2 * 65_536)
    assert.equal(entries.overflow_log, 2 * (4 + 1) * 2 * defined('FD_OVERFLOW_SLOTS'))
    assert.equal(sizes.indexBuckets & (sizes.indexBuckets - 1), 0)
    assert.ok(sizes.indexBuckets * 4 >= sizes.flowSlots)
  })
})
