// SPDX-License-Identifier: Apache-2.0
//
// What nothing can be done about from here: the Node version, the user, the distribution.
import { readFileSync } from 'node:fs'
import { release } from 'node:os'
import { SetupError, which } from './run.mjs'

const NODE_MAJOR = 20
// BPF features that the agent needs; see docs/bpf.md, section 6.
const KERNEL = [5, 15]

export function checkMachine() {
  const major = Number.parseInt(process.versions.node, 10)
  if (major < NODE_MAJOR) {
    throw new SetupError(
      `this is Node ${process.versions.node}; Flowdam needs ${NODE_MAJOR} or newer (nodejs.org)`,
    )
  }
  if (process.platform !== 'linux')
    throw new SetupError(`Flowdam counts in the Linux kernel; this is ${process.platform}`)
  if (process.getuid() !== 0) {
    throw new SetupError(
      'loading programs into the kernel and installing packages needs root: run it with sudo',
    )
  }
  const [kernelMajor, kernelMinor] = release().split('.').map(Number)
  if (kernelMajor < KERNEL[0] || (kernelMajor === KERNEL[0] && kernelMinor < KERNEL[1])) {
    throw new SetupError(
      `this kernel is ${release()}; Flowdam needs ${KERNEL.join('.')} or newer (Debian 12 has 6.1)`,
    )
  }
  if (!which('apt-get')) {
    throw new SetupError(
      'no apt-get here: setup installs packages on Debian and its relatives only. Elsewhere install clang, libbpf, ' +
        'bpftool, ethtool, iproute2, gcc and gobgp yourself, then run `npm ci && npm run build`',
    )
  }
  return `Node ${process.versions.node}, Linux ${release()}, ${distribution()}`
}

function distribution() {
  try {
    return (
      /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown distribution'
    )
  } catch {
    return 'unknown distribution'
  }
}
