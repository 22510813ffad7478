// SPDX-License-Identifier: Apache-2.0
import type { Sources } from './sources.js'

export interface KernelVersion {
  major: number
  minor: number
  /** `uname -r`. */
  release: string
}

export function readKernelVersion(sources: Sources): KernelVersion | undefined {
  const release = sources.read('/proc/sys/kernel/osrelease')?.trim() ?? ''
  const match = /^(\d+)\.(\d+)/.exec(release)
  return match ? { major: Number(match[1]), minor: Number(match[2]), release } : undefined
}

/** `atLeast(kernel, '5.18')`. */
export function atLeast({ major, minor }: KernelVersion, version: string): boolean {
  const [wantedMajor = 0, wantedMinor = 0] = version.split('.').map(Number)
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)
}
