// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process'
import { chmodSync, mkdtempSync, rmdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { command } from '@flowdam/scripts/lab/commands'
import { LabProcess } from '@flowdam/scripts/lab/process'
import { waitFor } from '@flowdam/scripts/lab/wait'

/**
 * This machine's files as an overlay: what is installed, changed and removed there is in memory and gone afterwards. In
 * a mount namespace of its own, so that even a killed test leaves nothing.
 */
const MOUNTS = `
set -e
mount -t tmpfs tmpfs "$1"
cd "$1"
mkdir changes work root
mount -t overlay overlay -o lowerdir=/,upperdir="$PWD/changes",workdir="$PWD/work" root
mount -t proc proc root/proc
mount -t sysfs sysfs root/sys
mount -t bpf bpf root/sys/fs/bpf
mount --rbind /dev root/dev
mount -t tmpfs tmpfs root/run
mount -t tmpfs tmpfs root/tmp
chmod 1777 root/tmp
# No service is started by what is installed.
printf '#!/bin/sh\\nexit 101\\n' > root/usr/sbin/policy-rc.d
chmod +x root/usr/sbin/policy-rc.d
echo ready
exec sleep 3600
`

export interface CommandEnd {
  status: number
  stdout: string
  stderr: string
}

export class MachineCopy {
  readonly #namespace: string
  readonly #folder = mkdtempSync(join(tmpdir(), 'flowdam-machine-'))
  readonly #holder: LabProcess
  #ready = false

  /** Its network is this namespace. */
  constructor(namespace: string) {
    this.#namespace = namespace
    chmodSync(this.#folder, 0o755)
    const script = `${this.#folder}.sh`
    writeFileSync(script, MOUNTS)
    this.#holder = new LabProcess({
      name: 'mount namespace',
      program: 'nsenter',
      args: [
        `--net=/run/netns/${namespace}`,
        ...['unshare', '--mount', '--propagation', 'private', 'sh', script, this.#folder],
      ],
      logFile: `${this.#folder}.log`,
      onLine: (line) => {
        this.#ready ||= line === 'ready'
      },
    })
  }

  async start(): Promise<void> {
    this.#holder.start()
    await waitFor('the overlay', () => {
      if (!this.#holder.running) throw new Error(`the overlay failed:\n${this.#holder.logTail()}`)
      return this.#ready
    })
  }

  async stop(): Promise<void> {
    await this.#holder.stop('SIGKILL')
    rmdirSync(this.#folder)
    await command('rm', ['-f', `${this.#folder}.sh`, `${this.#folder}.log`])
  }

  /** A file of ours, from there. */
  async bring(file: string): Promise<string> {
    const name = `/tmp/${file.split('/').at(-1)}`
    const [program, args] = this.#enter()
    // Before the root is changed both sides can be seen.
    await command(program, [...args, 'cp', file, join(this.#folder, 'root', name)])
    return name
  }

  /** The command line for a program there. */
  commandLine(argv: readonly string[]): [string, string[]] {
    const [program, args] = this.#enter()
    return [program, [...args, 'chroot', join(this.#folder, 'root'), ...argv]]
  }

  run(argv: readonly string[], input = ''): Promise<CommandEnd> {
    const [program, args] = this.commandLine(argv)
    return new Promise((resolve) => {
      const child = execFile(program, args, { maxBuffer: 16 << 20 }, (_error, stdout, stderr) =>
        resolve({ status: child.exitCode ?? -1, stdout, stderr }),
      )
      child.stdin?.on('error', () => {})
      child.stdin?.end(input)
    })
  }

  /** What a command prints; throws when it fails. */
  async must(...argv: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run(argv)
    if (status !== 0) throw new Error(`${argv.join(' ')}: status ${status}\n${stdout}${stderr}`)
    return stdout
  }

  async exists(path: string): Promise<boolean> {
    return (await this.run(['test', '-e', path])).status === 0
  }

  #enter(): [string, string[]] {
    return [
      'nsenter',
      [`--mount=/proc/${this.#holder.pid}/ns/mnt`, `--net=/run/netns/${this.#namespace}`, '--wd=/'],
    ]
  }
}
