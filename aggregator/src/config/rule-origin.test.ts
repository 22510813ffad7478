// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseAggregatorConfig } from './load.js'
import { ruleOrigin } from './rule-origin.js'

const config = parseAggregatorConfig(
  'test.yaml',
  `
networks: [203.0.113.0/24, '2001:db8::/32']
thresholds:
  incoming: { pps: 20k, bps: 1G }
  carpet: { ipv4/24: { incoming: { pps: 100k } } }
  total: { incoming: { bps: 10G } }
hostgroups:
  - { name: web, prefixes: [203.0.113.0/25], incoming: { pps: 50k }, total: { incoming: { pps: 90k } } }
  - { name: shop, prefixes: [203.0.113.16/28], incoming: { syn_pps: 5k } }
  - { name: all, prefixes: [203.0.113.0/24], carpet: { ipv4/24: { incoming: { bps: 5G } } } }
`,
)
const CASES = [
  ['203.0.113.20', 'syn_pps', 5000, 'hostgroups[shop].incoming.syn_pps'],
  ['203.0.113.20', 'pps', 50000, 'hostgroups[web].incoming.pps'],
  ['203.0.113.20', 'bps', 1000000000, 'thresholds.incoming.bps'],
  ['203.0.113.200', 'pps', 20000, 'thresholds.incoming.pps'],
  ['2001:db8::1', 'pps', 20000, 'thresholds.incoming.pps'],
  ['203.0.113.0/24', 'pps', 100000, 'thresholds.carpet.ipv4/24.incoming.pps'],
  ['203.0.113.0/24', 'bps', 5000000000, 'hostgroups[all].carpet.ipv4/24.incoming.bps'],
  ['web', 'pps', 90000, 'hostgroups[web].total.incoming.pps'],
  ['total', 'bps', 10000000000, 'thresholds.total.incoming.bps'],
  ['203.0.113.20', 'udp_pps', 1000, ''],
  // Learned: no line says so.
  ['203.0.113.20', 'pps', 41_234, ''],
  ['203.0.113.20', 'pps', 20_000, ''],
  ['nobody', 'pps', 20000, ''],
] as const

describe('the rule that a threshold comes from', () => {
  for (const [target, metric, rate, rule] of CASES) {
    it(`${metric} ${rate} of ${target}: ${rule || 'none'}`, () => {
      assert.equal(ruleOrigin(config, target, 'incoming', metric, rate), rule)
    })
  }
})
