// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { Box } from './box.js'

describe('SIGHUP', () => {
  const box = new Box()
  before(() => box.start())
  after(() => box.stop())

  it('applies what it can, names what needs a restart, and keeps the old file when the new one is wrong', async () => {
    const agent = box.agent()
    agent.start()
    await box.counting()
    const file = join(box.network.folder, 'agent1.yaml')
    const config = JSON.parse(readFileSync(file, 'utf8')) as object
    const said = (what: RegExp) => waitFor(`${what}`, () => (what.test(agent.logTail(50)) ? true : undefined))

    writeFileSync(file, JSON.stringify({ ...config, export_rate: '9k', flow_slots: 256 }))
    agent.signal('SIGHUP')
    await said(/"keys":\["flow_slots"\].*next start/)
    await said(/"keys":\["export_rate"\].*reloaded/)
    writeFileSync(file, JSON.stringify({ ...config, export_rte: '9k' }))
    agent.signal('SIGHUP')
    await said(/did you mean 'export_rate'.*old one stays in force/)

    const sent = await box.send('--count', '5000', '--flows', '100', '--rate', '20000')
    const { code } = (await agent.stop()) ?? {}
    assert.equal(code, 0)
    const got = await box.ingest.report()
    assert.equal(got.incoming.packets, sent.packets, 'counting went on')
    assert.equal(got.records.packets, sent.packets)
  })
})
