// SPDX-License-Identifier: Apache-2.0
//
// Debian packages. apt is asked for what is missing only, and its lists are refreshed only when they lack it.
import { existsSync } from 'node:fs'
import { output, run, SetupError, which } from './run.mjs'
import { withoutServices } from './services.mjs'

export const ALWAYS = [
  'libbpf1', // loads the BPF object, through FFI
  'libbpf-dev', // headers for BPF C
  'bpftool', // looks at programs and maps; links the object where bpf-linker is not to be had
  'ethtool', // offloads of the lab's interfaces
  'iproute2', // namespaces, veth pairs, routes
  'gcc', // the traffic generator
  'libc6-dev',
  'gobgpd', // the BGP speakers of the lab: daemon and command
  'procps', // sysctl
  'util-linux', // nsenter, unshare
  'ca-certificates',
]

/** Only tests need them: `npm start` goes without. */
export const FOR_TESTS = [
  'openssl', // scripts/lab-ca.sh
  'python3-grpcio', // a gRPC client that is not ours
  'python3-grpc-tools',
  'exabgp', // the BGP speakers that scripts/hooks/ has hooks for, beside GoBGP
  'bird2',
  'frr',
  'nftables', // dropping on the box itself
  'prometheus', // alerts and dashboard against a real one; promtool
  'curl',
  'fastnetmon', // its client and its configuration, for who comes from it
  'clickhouse-server', // a real one, old, for a table of somebody's own
]

/** What packages start when systemd runs. */
const SERVICES = {
  gobgpd: 'gobgpd',
  exabgp: 'exabgp',
  bird2: 'bird',
  frr: 'frr',
  nftables: 'nftables',
  prometheus: 'prometheus',
  fastnetmon: 'fastnetmon',
  'clickhouse-server': 'clickhouse-server',
}

/** Toolchains for BPF C, best first. bpf-linker's LLVM must not be older than clang's, so they go together. */
export const TOOLCHAINS = [
  {
    major: 22,
    compiler: ['clang-22', 'clang-format-22'],
    linker: ['llvm-22-dev', 'libpolly-22-dev'],
    crate: { version: '0.13.0', feature: 'llvm-22', prefixVariable: 'LLVM_PREFIX' },
  },
  {
    major: 19,
    compiler: ['clang-19', 'clang-format-19'],
    linker: ['llvm-19-dev', 'libpolly-19-dev', 'libzstd-dev'],
    crate: { version: '0.9.15', feature: 'llvm-19', prefixVariable: 'LLVM_SYS_191_PREFIX' },
  },
]

export function installPackages(announce, { tests = false } = {}) {
  const wanted = () => [...ALWAYS, ...(tests ? FOR_TESTS : []), ...compilerPackages()]
  let missing = notInstalled(wanted())
  if (missing.length === 0) return 'all there'
  if (missing.some((name) => !available(name)) || !toolchain()) {
    announce('refreshing the package lists')
    run('apt-get', ['update', '-qq', '-o', 'DPkg::Lock::Timeout=300'])
    missing = notInstalled(wanted())
  }
  const unknown = missing.filter((name) => !available(name))
  if (!toolchain() || unknown.length > 0) {
    const names = unknown.length > 0 ? unknown : [TOOLCHAINS[0].compiler[0]]
    throw new SetupError(
      `apt knows no package ${names.join(', ')}: see that /etc/apt/sources.list has Debian's main archive and its security updates`,
    )
  }
  install(missing, announce)
  return `installed ${missing.join(' ')}`
}

/** The toolchain in use: the best that is installed, else the best that can be; undefined when neither. */
export function toolchain() {
  return (
    TOOLCHAINS.find(({ compiler }) => notInstalled(compiler).length === 0) ??
    TOOLCHAINS.find(({ compiler }) => compiler.every(available))
  )
}

export function install(names, announce) {
  announce(`installing ${names.join(' ')} (a minute or two)`)
  const services = names.flatMap((name) => SERVICES[name] ?? [])
  withoutServices(services, () =>
    run(
      'apt-get',
      ['install', '-y', '-qq', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=300', ...names],
      {
        env: { DEBIAN_FRONTEND: 'noninteractive' },
      },
    ),
  )
}

export function notInstalled(names) {
  // dpkg-query fails when one is unknown, yet prints the others.
  const listed = output('sh', [
    '-c',
    `dpkg-query -W -f '\${Package} \${db:Status-Status}\\n' ${names.join(' ')} 2>/dev/null; true`,
  ])
  const installed = new Set(
    (listed ?? '').split('\n').flatMap((line) => {
      const [name, status] = line.split(' ')
      return status === 'installed' ? [name] : []
    }),
  )
  return names.filter((name) => !installed.has(name))
}

function compilerPackages() {
  return toolchain()?.compiler ?? []
}

function available(name) {
  if (!existsSync('/var/lib/apt/lists') || !which('apt-cache')) return false
  const policy = output('apt-cache', ['policy', name]) ?? ''
  return /Candidate: (?!\(none\))/.test(policy)
}
