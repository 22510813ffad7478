// SPDX-License-Identifier: Apache-2.0
//
// The first root of the virtual machine: busybox, the modules to reach this machine's files, and the way from there.
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { output, run, SetupError, which } from '../setup/run.mjs'

/** To mount this machine's files over virtio, and something writable over them. */
const MODULES = ['virtio_pci', '9pnet_virtio', '9p', 'overlay']

export const STATUS_LINE = 'flowdam kernel-vm: exit status '

/** Makes `folder`/initramfs.cpio.gz, which runs `command` in `cwd`; its path. */
export function makeInitramfs(folder, kernel, { command, cwd, env }) {
  const root = join(folder, 'initramfs')
  mkdirSync(join(root, 'bin'), { recursive: true })
  mkdirSync(join(root, 'modules'))
  copyFileSync(busybox(), join(root, 'bin', 'busybox'))
  const modules = modulesOf(kernel).map((file) => unpackModule(file, join(root, 'modules')))
  script(join(root, 'init'), init(kernel, modules))
  script(join(root, 'command'), commandScript({ command, cwd, env }))
  const image = `${root}.cpio.gz`
  run('sh', ['-c', `find . | cpio -o -H newc --quiet | gzip -1 > "$1"`, 'sh', image], { cwd: root })
  return image
}

function script(path, text) {
  writeFileSync(path, text)
  chmodSync(path, 0o755)
}

function busybox() {
  const file = which('busybox')
  if (!file) throw new SetupError('no busybox: apt-get install busybox-static')
  return file
}

/** In the order of loading, each after what it needs; what is built in has no file. */
function modulesOf({ folder, release }) {
  const files = MODULES.flatMap((name) => {
    const listed = output('modprobe', ['-d', folder, '-S', release, '--show-depends', name])
    if (listed === undefined)
      throw new SetupError(`the kernel ${release} has no module ${name}, or modprobe (kmod) is missing`)
    return listed.split('\n').flatMap((line) => /^insmod (\S+)/.exec(line)?.[1] ?? [])
  })
  return [...new Set(files)]
}

function unpackModule(file, into) {
  const name = basename(file).replace(/\.xz$/, '')
  if (file.endsWith('.xz')) run('sh', ['-c', 'xz -dc "$1" > "$2"', 'sh', file, join(into, name)])
  else copyFileSync(file, join(into, name))
  return name
}

/** The root of the command is this machine's, read-only, below a tmpfs that takes all writes. */
function init({ folder, release }, modules) {
  return `#!/bin/busybox sh
set -e
export PATH=/bin
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /host /top /new
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in ${modules.join(' ')}; do insmod /modules/$module; done
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=1048576,cache=loose host /host
mount -t tmpfs -o size=75% tmpfs /top
mkdir /top/upper /top/work
mount -t overlay -o lowerdir=/host,upperdir=/top/upper,workdir=/top/work overlay /new
mount -t proc proc /new/proc
mount -t sysfs sysfs /new/sys
mount -t devtmpfs devtmpfs /new/dev
mkdir -p /new/dev/pts /new/dev/shm
mount -t devpts devpts /new/dev/pts
mount -t tmpfs tmpfs /new/dev/shm
mount -t tmpfs tmpfs /new/run
mount -t bpf bpf /new/sys/fs/bpf
mount -t tracefs tracefs /new/sys/kernel/tracing
mount -t cgroup2 cgroup2 /new/sys/fs/cgroup
mkdir -p /new/lib/modules/${release}
mount --bind "/new${folder}/lib/modules/${release}" /new/lib/modules/${release}
ip link set lo up
cp /command /new/run/command
exec switch_root /new /run/command
`
}

/** Process 1: says how the command ended, then switches off. */
function commandScript({ command, cwd, env }) {
  const set = Object.entries(env).map(([name, value]) => `export ${name}=${quote(value)}`)
  return `#!/bin/sh
${set.join('\n')}
cd ${quote(cwd)}
${command.map(quote).join(' ')} < /dev/null
echo "${STATUS_LINE}$?"
sleep 1
echo o > /proc/sysrq-trigger
sleep 60
`
}

function quote(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
