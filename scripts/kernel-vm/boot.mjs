// SPDX-License-Identifier: Apache-2.0
//
// qemu with a kernel and its initramfs; the console is the command's output.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { PATH, ROOT, SetupError, which } from '../setup/run.mjs'
import { makeInitramfs, STATUS_LINE } from './initramfs.mjs'

/** The command's exit status; 1 when the machine ended without one. */
export async function bootAndRun(kernel, command, { cpus, memoryGiB, limitMs }) {
  const qemu = which('qemu-system-x86_64')
  if (!qemu) throw new SetupError('no qemu-system-x86_64: apt-get install qemu-system-x86')
  const folder = mkdtempSync(join(tmpdir(), 'flowdam-kernel-vm-'))
  try {
    const image = makeInitramfs(folder, kernel, { command, cwd: ROOT, env: environment() })
    return await boot(
      qemu,
      [
        ...['-M', 'q35', '-accel', 'tcg,thread=multi', '-cpu', 'max'],
        ...['-smp', String(cpus), '-m', `${memoryGiB}G`, '-nic', 'none', '-no-reboot'],
        ...['-display', 'none', '-monitor', 'none', '-serial', 'stdio'],
        ...['-virtfs', 'local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap'],
        ...['-kernel', join(kernel.folder, 'boot', `vmlinuz-${kernel.release}`), '-initrd', image],
        ...['-append', 'console=ttyS0 quiet panic=-1 no_timer_check'],
      ],
      limitMs,
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What a command needs to be found, and what the tests are told by. */
function environment() {
  const ours = Object.entries(process.env).filter(([name]) => name.startsWith('FLOWDAM_'))
  return { PATH, HOME: '/root', TERM: 'dumb', LC_ALL: 'C.UTF-8', ...Object.fromEntries(ours) }
}

async function boot(qemu, args, limitMs) {
  const child = spawn('nice', ['-n', '19', qemu, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const limit = setTimeout(() => {
    process.stderr.write('kernel-vm: the time is over\n')
    child.kill()
  }, limitMs)
  let status = 1
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith(STATUS_LINE)) status = Number(line.slice(STATUS_LINE.length))
    else process.stdout.write(`${line}\n`)
  }
  clearTimeout(limit)
  return status
}
