// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { createLogger } from '@flowdam/common'
import { KnownConfig } from './known-config.js'

const log = createLogger('test')
log.level = 'silent'

const CONFIG = {
  networks: ['203.0.113.0/24'],
  exemptRemote: ['198.51.100.7/32'],
  pace: { detectIntervalMs: 50, exportIntervalMs: 300, exportRate: 0 },
}
const RULES = { drop: ['203.0.113.1', '203.0.113.2'].map((prefix, i) => ({ id: 'a', prefix, ttlS: 10 + i })) }

describe('what the aggregator said last', () => {
  let folder: string
  let now = 1e12
  const open = () => new KnownConfig(join(folder, 'spool', 'edge1.config.json'), log, () => now)

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'flowdam-known-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  it('is there after a restart; drop rules until their end, whatever the machine did meanwhile', () => {
    assert.equal(open().load(), undefined)
    const before = open()
    before.saveConfig(CONFIG)
    before.saveRules(RULES)
    now += 4000
    assert.deepEqual(open().load(), {
      config: CONFIG,
      rules: {
        drop: [
          { id: 'a', prefix: '203.0.113.1', ttlS: 6 },
          { id: 'a', prefix: '203.0.113.2', ttlS: 7 },
        ],
      },
    })
    now += 6500
    assert.deepEqual(
      open()
        .load()
        ?.rules.drop.map(({ prefix }) => prefix),
      ['203.0.113.2'],
    )
    before.saveRules({ drop: [] })
    assert.deepEqual(open().load()?.rules.drop, [])
  })

  it('is not written again when the same is said again', () => {
    const path = join(folder, 'spool', 'edge1.config.json')
    const known = open()
    known.saveConfig(CONFIG)
    known.saveRules(RULES)
    const { ino } = statSync(path)
    known.saveConfig({ ...CONFIG })
    known.saveRules(RULES)
    assert.equal(statSync(path).ino, ino)
    known.saveRules({ drop: RULES.drop.slice(1) })
    assert.notEqual(statSync(path).ino, ino)
  })

  it('that cannot be read is as if there were none', () => {
    const known = open()
    known.saveConfig(CONFIG)
    for (const text of ['', '{', '[]', '{"config":7,"drop":[{"prefix":1}]}']) {
      writeFileSync(join(folder, 'spool', 'edge1.config.json'), text)
      assert.equal(open().load(), undefined, text)
    }
  })
})
