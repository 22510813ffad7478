// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { createLogger } from '@flowdam/common'
import { Sequence } from '../count/sequence.js'
import { KnownInterfaces } from './known-interfaces.js'

const log = createLogger('test')
log.level = 'silent'

describe('known interfaces', () => {
  let folder: string
  let path: string

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'flowdam-interfaces-'))
    path = join(folder, 'sub', 'edge1.interfaces.json')
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  /** A start of the agent with these interfaces; returns their indexes. */
  function boot(...wishes: string[]): number[] {
    const known = new KnownInterfaces(path, log)
    const sequence = new Sequence()
    sequence.begin(1)
    sequence.remember(known.load(), wishes)
    const indexes = wishes.map((name) => sequence.indexOf(name))
    known.save(sequence.names)
    return indexes
  }

  it('keep their index over boots, whatever the order; new ones come behind', () => {
    assert.deepEqual(boot('eth0', 'eth1'), [0, 1])
    assert.deepEqual(boot('eth1', 'eth0'), [1, 0])
    assert.deepEqual(boot('eth2', 'eth1'), [2, 1])
    assert.deepEqual(boot('eth0'), [0])
    assert.deepEqual(readdirSync(join(folder, 'sub')), ['edge1.interfaces.json'])
  })

  it('are done without when the file is damaged, or when they would leave no room for those that are wanted', () => {
    boot('eth0', 'eth1')
    writeFileSync(path, '["eth0", 7]')
    assert.deepEqual(boot('eth1', 'eth0'), [0, 1])
    boot(...Array.from({ length: 125 }, (_, i) => `if${i}`))
    assert.deepEqual(boot('new0'), [0])
  })
})
