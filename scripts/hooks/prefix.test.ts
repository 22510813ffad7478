// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { formatAddress, parsePrefix } from '@flowdam/common'
import fc from 'fast-check'
import { ROOT } from '../lab/root.js'

const SCRIPT = join(ROOT, 'scripts', 'hooks', 'lib', 'prefix.awk')

function canonical(lines: readonly string[]) {
  const { status, stdout, stderr } = spawnSync('awk', ['-f', SCRIPT], {
    input: lines.map((line) => `${line}\n`).join(''),
    encoding: 'utf8',
  })
  return { status, lines: stdout.split('\n').filter(Boolean), stderr: stderr.trim() }
}

describe("the hooks' reader of prefixes", () => {
  it('writes every IPv6 address as common/address does, whatever its spelling', () => {
    const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }))
    const address = fc
      .array(group, { minLength: 8, maxLength: 8 })
      // IPv4 in IPv6's clothes has a spelling of its own, which no hook needs.
      .filter((groups) => groups.slice(0, 5).some(Boolean))
    const spelt = (groups: readonly number[], padded: boolean) =>
      groups.map((one) => one.toString(16).padStart(padded ? 4 : 1, '0')).join(':')
    // One process for all of them.
    const samples = fc.sample(fc.tuple(address, fc.boolean()), { numRuns: 500, seed: 666 })
    const texts = samples.map(([groups, padded]) => spelt(groups, padded))
    const expected = samples.map(([groups]) => {
      const bytes = Uint8Array.from(groups.flatMap((one) => [one >> 8, one & 255]))
      return formatAddress(bytes)
    })
    assert.deepEqual(canonical([...texts, ...texts.map((text) => text.toUpperCase()), ...expected]).lines, [
      ...expected.map((text) => `${text}/128`),
      ...expected.map((text) => `${text}/128`),
      ...expected.map((text) => `${text}/128`),
    ])
  })

  it('takes the prefixes that common/address takes, and gives IPv4 back as it is', () => {
    const taken = [
      '0.0.0.0/0',
      '203.0.113.10',
      '203.0.113.128/25',
      '2001:db8::/29',
      '::/0',
      '2001:db8:1::/48',
    ]
    assert.deepEqual(
      canonical(taken).lines,
      taken.map((text) => parsePrefix(text).text),
    )
  })

  it('leaves out blank lines and comments', () => {
    assert.deepEqual(canonical(['', '# active bans', '  203.0.113.1\r', '\t']).lines, ['203.0.113.1/32'])
  })

  const refused = [
    ...['256.1.1.1', '1.2.3', '01.2.3.4', '1.2.3.4.5', '1.2.3.4/33', '1.2.3.4/', '1.2.3.4/08', '1.2.3.4/-1'],
    ...['1:2:3', '::1::2', ':::', ':::1', '1:2:3:4:5:6:7:8::', '12345::', 'g::1', '::/129', '1:', ':1', ':'],
    ...['203.0.113.5/24', '2001:db8::1/64', '2001:db8::/28', 'a b', 'all', '-u', '$(id)', '::ffff:1.2.3.4'],
  ]
  for (const text of refused) {
    it(`refuses ${text}`, () => {
      const { status, lines, stderr } = canonical(['203.0.113.1', text])
      assert.equal(status, 2)
      assert.deepEqual(lines, ['203.0.113.1/32'])
      assert.match(stderr, /^not an address/)
    })
  }
})
