// SPDX-License-Identifier: Apache-2.0
import { type Finding, note, ok, problem, warning } from './finding.js'
import type { Sources } from './sources.js'

/** Bit numbers of include/uapi/linux/capability.h. */
const NEEDED: readonly (readonly [name: string, bit: number, use: string])[] = [
  ['CAP_BPF', 39, 'load programs and maps'],
  ['CAP_NET_ADMIN', 12, 'attach them to interfaces'],
  ['CAP_PERFMON', 38, 'pass the verifier for tracing-grade pointer use'],
]
const CAP_SYS_ADMIN = 21

/** What the kernel lets us do: capabilities, lockdown, and the file system for pinned maps. */
export function checkPrivileges(sources: Sources): Finding[] {
  return [...capabilities(sources), ...lockdown(sources), ...bpffs(sources)]
}

function capabilities(sources: Sources): Finding[] {
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(sources.read('/proc/self/status') ?? '')?.[1]
  if (mask === undefined)
    return [note('privileges.capabilities', 'capabilities cannot be read (/proc/self/status)')]
  const effective = BigInt(`0x${mask}`)
  const has = (bit: number) => ((effective >> BigInt(bit)) & 1n) === 1n
  const missing = NEEDED.filter(
    ([name, bit]) => !has(bit) && !(name !== 'CAP_NET_ADMIN' && has(CAP_SYS_ADMIN)),
  )
  if (missing.length === 0)
    return [ok('privileges.capabilities', 'this account may load and attach BPF programs')]
  const lacking = missing.map(([name, , use]) => `${name} (${use})`).join(', ')
  return [
    warning(
      'privileges.capabilities',
      `this account lacks ${lacking}: an agent started from here cannot count`,
      'run the agent as root, or with AmbientCapabilities=CAP_BPF CAP_NET_ADMIN CAP_PERFMON in its systemd unit',
    ),
  ]
}

function lockdown(sources: Sources): Finding[] {
  if (!/\[confidentiality\]/.test(sources.read('/sys/kernel/security/lockdown') ?? '')) return []
  return [
    warning(
      'privileges.lockdown',
      'kernel lockdown is at confidentiality, which restricts BPF',
      'boot with lockdown=integrity',
    ),
  ]
}

function bpffs(sources: Sources): Finding[] {
  const mounts = sources.read('/proc/self/mounts')
  if (mounts === undefined)
    return [problem('privileges.bpffs', 'cannot read /proc/self/mounts; is /proc mounted?')]
  const points = mounts
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , type]) => type === 'bpf')
    .map(([, point]) => point ?? '')
  if (points.includes('/sys/fs/bpf')) return [ok('privileges.bpffs', 'bpffs is mounted at /sys/fs/bpf')]
  return [
    note(
      'privileges.bpffs',
      'bpffs is not mounted: with keep_attached the agent could not go on counting while it restarts',
      'mount -t bpf bpf /sys/fs/bpf',
    ),
  ]
}
