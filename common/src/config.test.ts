// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { z } from 'zod'
import { parseConfigText } from './config.js'
import { zDuration, zRate } from './units.js'

const schema = z.strictObject({
  listen: z.strictObject({ grpc: z.string() }).optional(),
  window: zDuration.default(1000),
  hostgroups: z.array(z.strictObject({ name: z.string(), pps: zRate.optional() })).default([]),
})
const parse = (text: string) => parseConfigText('aggregator.yaml', text, schema)

describe('configuration files', () => {
  it('applies defaults and units', () => {
    const { config } = parse('hostgroups:\n  - { name: web, pps: 20k }\n')
    assert.deepEqual(config, { window: 1000, hostgroups: [{ name: 'web', pps: 20_000 }] })
    assert.deepEqual(parse('').config, { window: 1000, hostgroups: [] })
  })

  it('names place and nearest key for an unknown key', () => {
    assert.throws(() => parse('windwo: 2s\n'), {
      code: 'FD_CONFIG_INVALID',
      message: "aggregator.yaml:1:1: windwo: unknown key; did you mean 'window'?",
    })
    assert.throws(() => parse('hostgroups:\n  - name: web\n    ppps: 20k\n'), {
      message: "aggregator.yaml:3:5: hostgroups.0.ppps: unknown key; did you mean 'pps'?",
    })
  })

  it('names the place of a wrong value, each of several', () => {
    assert.throws(
      () => parse('window: 30\nhostgroups:\n  - pps: fast\n'),
      (error: Error) => {
        const lines = error.message.split('\n')
        assert.match(lines[0] ?? '', /^aggregator\.yaml:1:1: window: '30' is not a time/)
        assert.ok(lines.some((line) => line.startsWith('aggregator.yaml:3:5: hostgroups.0.pps: ')))
        assert.ok(lines.some((line) => line.includes('hostgroups.0.name: ')))
        return true
      },
    )
  })

  it('says what is missing, of the wrong type or no choice in the words of the file, from top to bottom', () => {
    const choices = z.strictObject({
      networks: z.array(z.string()),
      dry_run: z.boolean().optional(),
      mode: z.enum(['inline', 'tap']).optional(),
      store: z.discriminatedUnion('engine', [
        z.strictObject({ engine: z.literal('embedded') }),
        z.strictObject({ engine: z.literal('clickhouse') }),
      ]),
    })
    const complaints = (text: string) => {
      try {
        parseConfigText('f', text, choices)
      } catch (error) {
        return error instanceof Error ? error.message.split('\n') : []
      }
      return []
    }
    assert.deepEqual(
      complaints('dry_run: yes\nmode: tab\nnetworks: 1.2.3.0/24\nstore: { engine: embeded }\n'),
      [
        "f:1:1: dry_run: 'yes' is not true or false",
        "f:2:1: mode: 'tab' is none of inline, tap; did you mean 'tap'?",
        "f:3:1: networks: '1.2.3.0/24' is not a list",
        "f:4:10: store.engine: 'embeded' is none of embedded, clickhouse; did you mean 'embedded'?",
      ],
    )
    assert.deepEqual(complaints('store: {}\n'), [
      'f:1:1: networks: is missing',
      'f:1:1: store.engine: is missing: one of embedded, clickhouse',
    ])
  })

  it('points at a syntax error and at a key given twice', () => {
    assert.throws(() => parse('window: [1\n'), /^FlowdamError: aggregator\.yaml:2:1: /)
    assert.throws(() => parse('a:\n\tb: 1\n'), /yaml:2:1: Tabs are not allowed as indentation$/)
    assert.throws(() => parse('window: 1s\nwindow: 2s\n'), /aggregator\.yaml:2:1: Map keys must be unique/)
  })

  it('lets later checks point at their line', () => {
    const file = parse('hostgroups:\n  - name: web\n')
    assert.match(
      file.error([{ path: ['hostgroups', 0, 'name'], message: 'is taken' }]).message,
      /^aggregator\.yaml:2:5: hostgroups\.0\.name: is taken$/,
    )
  })
})
