// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseAddress } from '@flowdam/common'
import { stringify } from 'yaml'
import { parseAggregatorConfig, policiesOf } from './load.js'
import { diffConfig, presentConfig } from './present.js'

const parse = (text: string) => parseAggregatorConfig('aggregator.yaml', text)

/** The complaints of a file that is refused, without the file's name. */
function complaints(text: string): string[] {
  try {
    parse(text)
  } catch (error) {
    return (error as Error).message.split('\n').map((line) => line.replace('aggregator.yaml:', ''))
  }
  return []
}

const NETWORKS = 'networks: [203.0.113.0/24]\n'

describe('aggregator.yaml', () => {
  it('needs networks and nothing else', () => {
    const config = parse(NETWORKS)
    assert.deepEqual(config.listen, {
      grpc: { host: '127.0.0.1', port: 50_060 },
      http: { host: '127.0.0.1', port: 8080 },
    })
    assert.deepEqual(config.ban, {
      enabled: true,
      duration: 1_800_000,
      max_duration: 14_400_000,
      max_active: 200,
      max_per_minute: 60,
      dry_run: false,
      hold_off: 300_000,
      carpet: 'prefix',
      carpet_hosts: 16,
      wide: [],
      levels: {},
    })
    assert.equal(config.store.engine, 'embedded')
    assert.match(complaints('')[0] ?? '', /networks/)
    assert.match(complaints('networks: []')[0] ?? '', /1:1: networks: name at least one network/)
  })

  it('reads the example of the documentation', () => {
    const config = parse(`
listen: { grpc: '127.0.0.1:50060', http: '127.0.0.1:8080' }
networks: [203.0.113.0/24, '2001:db8::/32']
exempt: [203.0.113.1]
exempt_remote: []
hostgroups:
  - name: default
    prefixes: [203.0.113.0/24]
    incoming: { pps: 20k, bps: 1G, flows: 3500, syn_pps: 10k }
    outgoing: { pps: 50k, udp_bps: off }
    window: 1s
ban: { enabled: true, duration: 30m, max_active: 200, dry_run: false }
hooks:
  - { name: notify, run: [/bin/true, arg], format: fastnetmon, timeout: 30s }
store: { engine: embedded, path: /var/lib/flowdam/store }
`)
    assert.deepEqual(config.hostgroups[0]?.incoming, { pps: 20_000, bps: 1e9, flows: 3500, syn_pps: 10_000 })
    assert.deepEqual(config.hostgroups[0]?.outgoing, { pps: 50_000, udp_bps: null })
    assert.equal(config.hooks[0]?.timeout, 30_000)
  })

  it('has the embedded store where the engine is not named', () => {
    const { store } = parse(`${NETWORKS}store: { retention: 30d }`)
    assert.deepEqual([store.engine, store.retention], ['embedded', 30 * 86_400_000])
  })

  it('says where it is wrong and what would be right', () => {
    for (const [text, expected] of [
      [
        `${NETWORKS}store: { engine: embeded }`,
        /^2:10: store\.engine: 'embeded' is none of .*did you mean 'embedded'\?$/,
      ],
      [
        `${NETWORKS}store: { retenton: 3d }`,
        /^2:10: store\.retenton: unknown key; did you mean 'retention'\?$/,
      ],
      [`${NETWORKS}hostgruops: []`, /^2:1: hostgruops: unknown key; did you mean 'hostgroups'\?$/],
      [
        `${NETWORKS}hostgroups:\n  - { name: a, prefixes: [203.0.114.0/24] }`,
        /^3:27: hostgroups\.0\.prefixes\.0: 203\.0\.114\.0\/24 is outside/,
      ],
      [
        `${NETWORKS}hostgroups:\n  - { name: a, prefixes: [203.0.113.5/24] }`,
        /did you mean 203\.0\.113\.0\/24\?/,
      ],
      [
        `${NETWORKS}thresholds: { baseline: { factr: 5 } }`,
        /^2:27: thresholds\.baseline\.factr: unknown key; did you mean 'factor'\?$/,
      ],
      [`${NETWORKS}thresholds: { baseline: { factor: 1 } }`, /thresholds\.baseline\.factor: at least 1\.5/],
      [
        `${NETWORKS}thresholds: { baseline: { learn: 5m, floor: { pps: 1k } } }`,
        /thresholds\.baseline\.learn: from 1h to 28d/,
      ],
      [
        `${NETWORKS}thresholds: { baseline: { floor: { ppps: 1k } } }`,
        /thresholds\.baseline\.floor\.ppps: unknown key; did you mean 'pps'\?$/,
      ],
      [
        `${NETWORKS}thresholds: { baseline: {} }`,
        /^2:15: thresholds\.baseline: nothing would be learned: name each/,
      ],
      [
        `${NETWORKS}thresholds: { baseline: { floor: { pps: 1k }, ceiling: { bps: 1G } } }`,
        /thresholds\.baseline\.ceiling\.bps: 'bps' is not learned: it has no floor/,
      ],
      [
        `${NETWORKS}thresholds: { baseline: { floor: { pps: 1k }, ceiling: { pps: 1k } } }`,
        /thresholds\.baseline\.ceiling\.pps: a ceiling of 1000 is not above the floor of 1000/,
      ],
      [
        `${NETWORKS}thresholds: { incoming: { pps: 1k } }\nhostgroups:\n  - { name: a, prefixes: [203.0.113.0/25], baseline: { floor: { pps: 2k } } }`,
        /^4:\d+: hostgroups\.0\.baseline\.floor\.pps: a floor of 2000 is not below the configured incoming threshold of 1000/,
      ],
      [
        `${NETWORKS}thresholds: { total: { baseline: { learn: 7d } } }`,
        /thresholds\.total\.baseline: nothing would be learned/,
      ],
      [`${NETWORKS}thresholds: { incoming: { ppps: 1 } }`, /did you mean 'pps'\?/],
      [`${NETWORKS}thresholds: { incoming: { pps: 0 } }`, /^2:\d+: thresholds\.incoming\.pps: .*write 'off'/],
      [`${NETWORKS}thresholds: { incoming: { pps: fast } }`, /'fast' is not a rate/],
      [`${NETWORKS}hooks: [{ name: a }]`, /hooks\.0: a hook has either 'run' or 'url'/],
      [`${NETWORKS}hooks: [{ name: a, url: 'ftp://x/' }]`, /an http:\/\/ or https:\/\/ address/],
      [`${NETWORKS}thresholds: { carpet: { ipv4/32: {} } }`, /no length such as 'ipv4\/24'/],
      [`${NETWORKS}thresholds: { carpet: { ipv4/24: { pps: 1k } } }`, /carpet\.ipv4\/24\.pps: unknown key/],
      [
        `${NETWORKS}hostgroups: [{ name: a, prefixes: [203.0.113.0/28], carpet: { ipv4/24: { incoming: { pps: 1k } } } }]`,
        /hostgroups\.0\.carpet\.ipv4\/24: no prefix of 'a' holds a whole \/24/,
      ],
      [`${NETWORKS}thresholds: { window: 10ms }`, /from 100ms to 60s/],
      [`${NETWORKS}ban: { duration: 30 }`, /^2:8: ban\.duration: '30' is not a time/],
      [`${NETWORKS}ban: { wide: [10.0.0.0/8] }`, /10\.0\.0\.0\/8 is outside/],
      [`${NETWORKS}exempt: [192.0.2.1]`, /^2:10: exempt\.0: 192\.0\.2\.1\/32 is outside 'networks'/],
      [`${NETWORKS}hooks: [{ name: a, run: [notify.sh] }]`, /'notify\.sh' is not an absolute path/],
      [`${NETWORKS}hooks: [{ name: a, run: [/etc/passwd] }]`, /chmod \+x \/etc\/passwd/],
      [
        `${NETWORKS}hooks: [{ name: a, run: [/bin/true] }, { name: a, run: [/bin/true] }]`,
        /'a' is there twice/,
      ],
      [
        `${NETWORKS}hostgroups: [{ name: a, prefixes: [203.0.113.0/25] }, { name: b, prefixes: [203.0.113.0/25] }]`,
        /already in hostgroup 'a'/,
      ],
    ] as const) {
      const found = complaints(text)
      assert.equal(found.length, 1, text + found.join())
      assert.match(found[0] ?? '', expected)
    }
  })

  it('refuses plaintext that others could read, unless told to', () => {
    const open = `${NETWORKS}listen: { grpc: '0.0.0.0:50060', http: '[::]:8080' }\n`
    assert.equal(complaints(open).length, 2)
    assert.match(complaints(open)[0] ?? '', /^2:11: listen\.grpc: 0\.0\.0\.0:50060 can be reached/)
    assert.deepEqual(complaints(`${open}insecure: true\n`), [])
    assert.match(
      String(complaints(`${NETWORKS}insecure: true\nfastnetmon_api: 0.0.0.0:50052\n`)),
      /fastnetmon_api: 0\.0\.0\.0:50052 can be reached from other machines/,
    )
    assert.deepEqual(complaints(`${NETWORKS}fastnetmon_api: 127.0.0.1:50052\n`), [])
    assert.equal(complaints(`${open}tls: { ca: a, cert: b, key: c }\n`).length, 1)
  })

  it('prints what it understood as a file that means the same', () => {
    const config = parse(`${NETWORKS}thresholds: { incoming: { pps: 20k, bps: off }, window: 1500ms }\n`)
    const again = parse(JSON.stringify(presentConfig(config)))
    assert.deepEqual(again, config)
  })

  it('tells what a reload changes, by name and not by place', () => {
    const group = (name: string, pps: string) =>
      `  - { name: ${name}, prefixes: [203.0.113.${name === 'a' ? 0 : 128}/25], incoming: { pps: ${pps} } }\n`
    const before = parse(`${NETWORKS}hostgroups:\n${group('a', '1k')}${group('b', '2k')}`)
    const after = parse(
      `${NETWORKS}exempt: [203.0.113.1]\nhostgroups:\n${group('b', '3k')}${group('a', '1k')}`,
    )
    assert.deepEqual(diffConfig(before, after), [
      'exempt.0: added 203.0.113.1/32',
      'hostgroups.b.incoming.pps: 2000 → 3000',
    ])
    assert.deepEqual(diffConfig(before, before), [])
  })

  it('tells others of no secret, not even when it changes', () => {
    const text = (secret: string) => `${NETWORKS}
hooks:
  - { name: chat, url: 'https://chat.example/services/T1/${secret}?key=${secret}', format: json, headers: { x: ${secret} } }
  - { name: user, url: 'https://me:${secret}@chat.example/', format: json }
  - { name: bgp, run: [/bin/true], env: { TOKEN: ${secret} } }
store: { engine: clickhouse, url: 'http://me:${secret}@127.0.0.1:8123', password: ${secret} }`
    const [before, after] = [parse(text('s3cret')), parse(text('0ther'))]
    const shown = JSON.stringify([
      presentConfig(before, 'others'),
      diffConfig(before, after),
      diffConfig(after, before),
    ])
    assert.doesNotMatch(shown, /s3cret|0ther/)
    assert.deepEqual(
      diffConfig(before, after).map((line) => line.split(':')[0]),
      [
        ...['hooks.bgp.env.TOKEN', 'hooks.chat.headers.x', 'hooks.chat.url', 'hooks.user.url'],
        ...['store.password', 'store.url'],
      ],
    )
  })

  it('inherits baselines one by one, and prints them as a valid file again', () => {
    const text = `${NETWORKS}
thresholds: { incoming: { pps: 50k, bps: 1G }, baseline: { factor: 4, floor: { pps: 1k } } }
hostgroups:
  - { name: a, prefixes: [203.0.113.0/25], baseline: { learn: 3d, floor: { bps: 10M }, ceiling: { pps: 80k } } }
  - { name: b, prefixes: [203.0.113.0/28], baseline: off }
  - { name: c, prefixes: [203.0.113.192/26], baseline: { direction: both } }`
    const config = parse(text)
    const rules = (address: string) =>
      policiesOf(config)
        .policyFor(parseAddress(address))
        ?.limits.filter(({ learn }) => learn)
        .map(({ direction, metric, learn }) => [
          direction,
          metric,
          learn?.floor,
          learn?.ceiling,
          learn?.hours,
        ])
    assert.deepEqual(rules('203.0.113.130'), [['incoming', 'pps', 1000, 50_000, 168]])
    assert.deepEqual(rules('203.0.113.100'), [
      ['incoming', 'pps', 1000, 80_000, 72],
      ['incoming', 'bps', 10e6, 1e9, 72],
    ])
    assert.deepEqual(rules('203.0.113.1'), [])
    assert.deepEqual(rules('203.0.113.200'), [
      ['incoming', 'pps', 1000, 50_000, 168],
      ['outgoing', 'pps', 1000, Number.POSITIVE_INFINITY, 168],
    ])
    assert.deepEqual(parse(stringify(presentConfig(config))), config)
    const changed = parse(text.replace('factor: 4', 'factor: 6'))
    assert.deepEqual(diffConfig(config, changed), ['thresholds.baseline.factor: 4 → 6'])
  })
})
