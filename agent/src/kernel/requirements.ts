// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs'
import { release } from 'node:os'
import { FlowdamError } from '@flowdam/common'

/** linux/capability.h. */
const CAPABILITIES = { CAP_NET_ADMIN: 12, CAP_PERFMON: 38, CAP_BPF: 39 } as const
const CAP_SYS_ADMIN = 21

/** Mmapable arrays, bpf_link for XDP, coarse clock, and what libbpf 1.x does without RLIMIT_MEMLOCK. */
export const OLDEST_KERNEL = '5.15'
/** The oldest that the programs were really loaded and run on (docs/bpf.md, section 6). */
export const OLDEST_TRIED_KERNEL = '6.1'

/** FD_KERNEL_TOO_OLD when `kernel` (as uname -r prints it) is older than 5.15. */
export function checkKernel(kernel = release()): void {
  if (kernelAtLeast(OLDEST_KERNEL, kernel)) return
  throw new FlowdamError(
    'FD_KERNEL_TOO_OLD',
    `Linux ${kernel} is too old: Flowdam needs ${OLDEST_KERNEL} or newer`,
    {
      remedy: 'install a newer kernel: Debian 12 has 6.1, Ubuntu 24.04 has 6.8, RHEL 10 has 6.12',
    },
  )
}

/** Whether nobody has tried Flowdam on so old a kernel: it may well work, but its verifier has not been asked. */
export function isUntriedKernel(kernel = release()): boolean {
  return !kernelAtLeast(OLDEST_TRIED_KERNEL, kernel)
}

/** Compares the first two numbers of `uname -r`. */
export function kernelAtLeast(wanted: string, kernel = release()): boolean {
  const parts = (text: string) => text.split(/[.-]/).map((part) => Number.parseInt(part, 10) || 0)
  const [major = 0, minor = 0] = parts(kernel)
  const [wantedMajor = 0, wantedMinor = 0] = parts(wanted)
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)
}

/** The capabilities that loading and attaching needs and `status` (of /proc/self/status) lacks. */
export function missingCapabilities(status = readFileSync('/proc/self/status', 'utf8')): string[] {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`)
  const has = (bit: number) => ((effective >> BigInt(bit)) & 1n) === 1n
  return Object.entries(CAPABILITIES)
    .filter(([name, bit]) => !has(bit) && !(name !== 'CAP_NET_ADMIN' && has(CAP_SYS_ADMIN)))
    .map(([name]) => name)
}

/** FD_NOT_PERMITTED, naming what is missing. */
export function checkCapabilities(status?: string): void {
  const missing = missingCapabilities(status)
  if (missing.length === 0) return
  throw new FlowdamError('FD_NOT_PERMITTED', `this process lacks ${missing.join(', ')}`, {
    remedy:
      'run it as root, or under systemd with AmbientCapabilities=CAP_BPF CAP_NET_ADMIN CAP_PERFMON; in a container all three must also be in its bounding set',
  })
}

/** Highest id of an online CPU, plus one. XDP runs on any of them. */
export function onlineCpus(list = readFileSync('/sys/devices/system/cpu/online', 'utf8')): number {
  return 1 + Math.max(...(list.match(/\d+/g) ?? ['0']).map(Number))
}
