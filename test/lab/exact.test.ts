// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type Accounts, takeAccounts } from '@flowdam/scripts/lab/accounts'
import { Lab } from '@flowdam/scripts/lab/lab'
import type { FlowSent, TrafficReport } from '@flowdam/scripts/lab/traffic'
import { type FlowStored, storedFlows } from './database.js'

const PACKETS = 1_200_000
const FLOWS = 12_000

describe('a million packets over 12 000 flows, IPv4 and IPv6, tagged and not, into a veth', () => {
  const lab = new Lab({ thresholdPps: 1e9, bgp: false })
  let report: TrafficReport
  let accounts: Accounts
  let sent: Map<string, FlowSent>
  let stored: Map<string, FlowStored>
  let attachMode: string | undefined

  before(async () => {
    await lab.start()
    const { agents } = await lab.daemons.api.listAgents()
    attachMode = agents[0]?.interfaces[0]?.attachMode
    const traffic = lab.send({
      from: 'internet',
      args: ['--count', String(PACKETS), '--flows', String(FLOWS), '--vlan', '7:10'],
      perFlow: true,
    })
    report = await traffic.ended()
    sent = traffic.flows()
    accounts = await takeAccounts(lab.daemons.api, report)
    await lab.daemons.stop()
    stored = storedFlows(lab.daemons.storeFolder, 'ingress')
  })
  after(() => lab.stop())

  it('was counted in native mode, over several epochs', () => {
    assert.equal(attachMode, 'native')
    assert.ok(
      [...stored.values()].some(({ rows }) => rows > 1),
      'no flow has rows of two epochs',
    )
  })

  it('was what the title says', () => {
    assert.equal(report.packets, PACKETS)
    assert.equal(sent.size, FLOWS)
    assert.ok(report.ipv4.flows > 1000 && report.ipv6.flows > 1000)
    assert.ok([...sent.keys()].some((key) => key.endsWith(' 7')))
  })

  it('the ledger has every packet and byte', () => {
    const { packets, bytes } = accounts.ledger
    assert.deepEqual({ packets, bytes }, { packets: report.packets, bytes: report.bytes })
  })

  it('the rows add up to every packet and byte, none twice', () => {
    const { packets, bytes } = accounts.stored
    assert.deepEqual({ packets, bytes }, { packets: report.packets, bytes: report.bytes })
    assert.equal(accounts.ledger.flows, accounts.stored.flows)
  })

  it('each flow has its own packets, bytes, flags, DSCP and TTL', () => {
    const wrong = [...sent].flatMap(([key, expected]) => {
      const found = stored.get(key)
      if (!found) return [`${key}: no row`]
      const { rows: _, ...actual } = found
      return JSON.stringify(actual) === JSON.stringify(expected)
        ? []
        : [`${key}: sent ${JSON.stringify(expected)}, stored ${JSON.stringify(actual)}`]
    })
    assert.deepEqual(wrong.slice(0, 10), [], `${wrong.length} of ${sent.size} flows differ`)
  })

  it('no other flow is in the database', () => {
    assert.deepEqual(
      [...stored.keys()].filter((key) => !sent.has(key)),
      [],
    )
  })
})
