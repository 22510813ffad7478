// SPDX-License-Identifier: Apache-2.0
//
// What each Debian package holds. A file is `{ from, to, mode? }`: a file or folder of the checkout and its place on the
// machine.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../setup/run.mjs'
import { moduleSets } from './closure.mjs'

const LIB = '/usr/lib/flowdam'
const DOC = '/usr/share/doc/flowdam'

export function packages({ version, architecture }) {
  const sets = moduleSets()
  const modules = (paths) => paths.map((path) => ({ from: path, to: `${LIB}/${path}` }))
  const same = `= ${version}`
  const all = [
    {
      name: 'flowdam-common',
      architecture: 'all',
      depends: ['nodejs (>= 20)'],
      summary: 'what the parts of Flowdam share',
      files: [
        ...workspace('common'),
        ...workspace('proto'),
        ...modules(sets.shared),
        { from: 'proto/flowdam', to: '/usr/share/flowdam/proto/flowdam' },
        ...['prometheus.yml', 'alerts.yml'].map((file) => ({
          from: `deploy/prometheus/${file}`,
          to: `/usr/share/flowdam/prometheus/${file}`,
        })),
        { from: 'deploy/grafana/flowdam.json', to: '/usr/share/flowdam/grafana/flowdam.json' },
        { from: 'docs', to: DOC },
        { from: 'CHANGELOG.md', to: `${DOC}/CHANGELOG.md` },
        { from: 'LICENSE', to: `${DOC}/copyright` },
      ],
      // Node looks for our own modules in node_modules; npm makes these in a checkout, too.
      links: ['common', 'proto'].map(ownModule),
    },
    {
      name: 'flowdam-agent',
      architecture,
      depends: [`flowdam-common (${same})`, 'libbpf1', 'systemd | systemd-standalone-sysusers'],
      summary: 'counts every flow of a box at the network edge in the kernel',
      files: [
        ...workspace('agent'),
        ...modules(sets.agent),
        { from: 'build/flowdam.bpf.o', to: `${LIB}/agent/bpf/flowdam.bpf.o` },
        ...service('agent'),
      ],
      links: [command('flowdam-agent', 'agent/bin/flowdam-agent.js'), ownModule('agent')],
      scripts: 'flowdam-agent',
      configuration: ['/etc/flowdam/agent.yaml'],
    },
    {
      name: 'flowdam-aggregator',
      architecture: 'all',
      depends: [`flowdam-common (${same})`, 'util-linux', 'systemd | systemd-standalone-sysusers'],
      recommends: ['flowdam', 'flowdam-embedded-store'],
      summary: 'detects attacks, announces blackholes, stores every flow',
      files: [
        ...workspace('aggregator'),
        ...modules(sets.aggregator),
        { from: 'scripts/hooks', to: `${LIB}/hooks`, only: isHook },
        ...service('aggregator'),
      ],
      links: [command('flowdam-aggregator', 'aggregator/bin/flowdam-aggregator.js'), ownModule('aggregator')],
      scripts: 'flowdam-aggregator',
      configuration: ['/etc/flowdam/aggregator.yaml'],
    },
    {
      name: 'flowdam-embedded-store',
      architecture,
      depends: ['flowdam-aggregator'],
      summary: 'ClickHouse inside the aggregator, for where there is no server',
      files: [
        ...modules(sets.embedded),
        {
          from: 'build/flowdam-failstop.so',
          to: `${LIB}/aggregator/native/flowdam-failstop.so`,
        },
      ],
    },
    {
      name: 'flowdam',
      architecture: 'all',
      depends: [`flowdam-common (${same})`],
      summary: "the operators' command: bans, hosts, flows, attacks, agents",
      files: [
        ...workspace('ctl'),
        ...modules(sets.ctl),
        ...optional('man/flowdam.1', '/usr/share/man/man1/flowdam.1'),
      ],
      links: [command('flowdam', 'ctl/bin/flowdam.js'), ownModule('ctl')],
    },
  ]
  return all.map((one) => ({ links: [], configuration: [], ...one, version }))
}

function workspace(name) {
  return [
    { from: `${name}/package.json`, to: `${LIB}/${name}/package.json` },
    { from: `${name}/dist`, to: `${LIB}/${name}/dist`, only: runs },
    ...optional(`${name}/bin`, `${LIB}/${name}/bin`),
  ]
}

/** Neither tests nor what only the compiler reads. */
function runs(path) {
  return !/\.test\.js$|\.d\.ts$|\.map$|\.tsbuildinfo$|\/testing(\/|$)/.test(path)
}

function isHook(path) {
  return !path.endsWith('.ts')
}

function service(name) {
  const unit = `flowdam-${name}`
  return [
    { from: `deploy/systemd/${unit}.service`, to: `/lib/systemd/system/${unit}.service` },
    { from: `deploy/sysusers.d/${unit}.conf`, to: `/usr/lib/sysusers.d/${unit}.conf` },
    { from: `deploy/tmpfiles.d/${unit}.conf`, to: `/usr/lib/tmpfiles.d/${unit}.conf` },
    { from: `deploy/config/${name}.yaml`, to: `/etc/flowdam/${name}.yaml`, mode: 0o640 },
  ]
}

function optional(from, to) {
  return existsSync(join(ROOT, from)) ? [{ from, to }] : []
}

function command(name, target) {
  return { at: `/usr/bin/${name}`, to: `../lib/flowdam/${target}` }
}

function ownModule(name) {
  return { at: `${LIB}/node_modules/@flowdam/${name}`, to: `../../${name}` }
}
