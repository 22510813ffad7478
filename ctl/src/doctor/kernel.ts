// SPDX-License-Identifier: Apache-2.0
import { type Finding, note, ok, problem, warning } from './finding.js'
import { atLeast, type KernelVersion } from './kernel-version.js'
import { readNumber, type Sources } from './sources.js'

const OLDEST_KERNEL = '5.15'
/** The oldest that Flowdam was tried on: docs/bpf.md, section 6. */
const OLDEST_TRIED_KERNEL = '6.1'

/** The kernel: its version, how it was built, and how its BPF is set up. */
export function checkKernel(sources: Sources, kernel: KernelVersion | undefined): Finding[] {
  return [...version(kernel), ...buildOptions(sources, kernel), ...jit(sources), ...statistics(sources)]
}

function version(kernel: KernelVersion | undefined): Finding[] {
  if (!kernel) return [problem('kernel.version', 'cannot read /proc/sys/kernel/osrelease; is this Linux?')]
  const { release } = kernel
  if (!atLeast(kernel, OLDEST_KERNEL)) {
    return [
      problem(
        'kernel.version',
        `kernel ${release} is older than ${OLDEST_KERNEL}`,
        'install a newer kernel: Debian 12 has 6.1',
      ),
    ]
  }
  const findings = [
    atLeast(kernel, OLDEST_TRIED_KERNEL)
      ? ok('kernel.version', `kernel ${release}`)
      : warning(
          'kernel.version',
          `kernel ${release}: Flowdam was not tried on kernels before ${OLDEST_TRIED_KERNEL}`,
          `install ${OLDEST_TRIED_KERNEL} or newer: Debian 12 has it`,
        ),
  ]
  findings.push(
    atLeast(kernel, '5.18')
      ? ok('kernel.frags', 'xdp.frags: jumbo frames in native XDP')
      : note('kernel.frags', 'no xdp.frags before 5.18: an interface with jumbo frames runs in generic mode'),
  )
  findings.push(
    atLeast(kernel, '6.6')
      ? ok('kernel.tcx', 'TCX for outgoing traffic')
      : note('kernel.tcx', 'no TCX before 6.6: outgoing traffic is counted by a clsact filter instead'),
  )
  return findings
}

const NEEDED_OPTIONS: readonly (readonly [option: string, use: string])[] = [
  ['CONFIG_BPF_SYSCALL', 'nothing works without it'],
  ['CONFIG_BPF_JIT', 'BPF would be interpreted'],
  ['CONFIG_NET_CLS_BPF', 'outgoing traffic cannot be counted'],
  ['CONFIG_NET_CLS_ACT', 'outgoing traffic cannot be counted'],
]

function buildOptions(sources: Sources, kernel: KernelVersion | undefined): Finding[] {
  const config = sources.read('/proc/config.gz') ?? (kernel && sources.read(`/boot/config-${kernel.release}`))
  if (config === undefined) {
    return [
      note('kernel.config', 'how the kernel was built cannot be read (/proc/config.gz, /boot/config-…)'),
    ]
  }
  const missing = NEEDED_OPTIONS.filter(([option]) => !new RegExp(`^${option}=[ym]$`, 'm').test(config))
  if (missing.length === 0) return [ok('kernel.config', 'the kernel is built with BPF, its JIT and cls_bpf')]
  return missing.map(([option, use]) =>
    problem('kernel.config', `the kernel is built without ${option}: ${use}`, 'use a distribution kernel'),
  )
}

function jit(sources: Sources): Finding[] {
  const enabled = readNumber(sources, '/proc/sys/net/core/bpf_jit_enable')
  const hardened = readNumber(sources, '/proc/sys/net/core/bpf_jit_harden')
  const findings: Finding[] = []
  if (enabled === 0) {
    findings.push(
      problem(
        'kernel.jit',
        'the BPF JIT is off: every packet is interpreted, several times slower',
        'sysctl -w net.core.bpf_jit_enable=1',
      ),
    )
  } else if (enabled !== undefined) findings.push(ok('kernel.jit', 'the BPF JIT is on'))
  if (hardened === 2) {
    findings.push(
      note(
        'kernel.jit_harden',
        'the JIT blinds constants of privileged programs too, which costs time per packet',
        'sysctl -w net.core.bpf_jit_harden=1',
      ),
    )
  }
  return findings
}

function statistics(sources: Sources): Finding[] {
  if (readNumber(sources, '/proc/sys/kernel/bpf_stats_enabled') !== 1) return []
  return [
    warning(
      'kernel.bpf_stats',
      'BPF run-time statistics are on: two clock reads per packet',
      'sysctl -w kernel.bpf_stats_enabled=0',
    ),
  ]
}
