#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
//
// Runs a command of this checkout on another kernel: a Debian kernel package, booted in qemu on this machine's own files.
import { parseArgs } from 'node:util'
import { bootAndRun } from './kernel-vm/boot.mjs'
import { unpackKernel } from './kernel-vm/package.mjs'
import { testFiles } from './rings/files.mjs'
import { SetupError } from './setup/run.mjs'

const HELP = `node scripts/kernel-vm.mjs KERNEL [OPTIONS] [-- COMMAND …]

Boots KERNEL in qemu and runs COMMAND there, as root, in this checkout; the tests of the kernel ring without one.
KERNEL is the name of a Debian package (linux-image-6.1.0-56-amd64; \`apt-cache depends linux-image-amd64\` names the
current one) or a .deb file. It is downloaded and unpacked below build/kernels, never installed.

The virtual machine sees this machine's files, but what it writes is in its own memory and gone afterwards. It has no
network. It is emulated (no KVM): ten to twenty times slower than this machine. Build first: npm run build.

  --cpus N        (2)
  --memory GIB    (4)
  --limit MIN     minutes after which it is ended (60)
  --help          this text

Needs qemu-system-x86, busybox-static, cpio, kmod and xz-utils. The exit status is the command's.
`

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      cpus: { type: 'string', default: '2' },
      memory: { type: 'string', default: '4' },
      limit: { type: 'string', default: '60' },
      help: { type: 'boolean', default: false },
    },
  })
  const [kernel, ...command] = positionals
  if (values.help || kernel === undefined) {
    process.stdout.write(HELP)
    return values.help ? 0 : 2
  }
  return await bootAndRun(unpackKernel(kernel), command.length > 0 ? command : kernelRing(), {
    cpus: Number(values.cpus),
    memoryGiB: Number(values.memory),
    limitMs: Number(values.limit) * 60_000,
  })
}

function kernelRing() {
  return [process.execPath, '--test', '--test-reporter=spec', '--test-concurrency=1', ...testFiles('kernel')]
}

try {
  process.exitCode = await main()
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  process.stderr.write(`kernel-vm: ${error.message}\n`)
  process.exitCode = 1
}
