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

  it('points at a syntax error and at a key given twice', () => {
    assert.throws(() => parse('window: [1\n'), /^FlowdamError: aggregator\.yaml:2:1: /)
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
