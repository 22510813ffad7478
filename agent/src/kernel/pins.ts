// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, readdirSync, rmdirSync, statfsSync, statSync, unlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { FlowdamError } from '@flowdam/common'
import * as libbpf from './libbpf.js'

/** BPF_FS_MAGIC of linux/magic.h. */
const BPF_FS = 0xcafe4a11
const STANDARD_MOUNT = '/sys/fs/bpf'

/** A folder of bpffs: what is pinned there lives on without a process, until it is removed or the machine restarts. */
export class Pins {
  readonly root: string

  constructor(root: string) {
    this.root = root
  }

  /** Where an agent's pins are when the configuration does not say. */
  static defaultRoot(agentId: string): string {
    return join(STANDARD_MOUNT, 'flowdam', pinName(agentId))
  }

  get exists(): boolean {
    return existsSync(this.root)
  }

  /** Makes the folder. FD_BPFFS_MISSING when no bpffs is mounted there, FD_PIN. */
  open(): void {
    let there = this.root
    while (!existsSync(there)) there = dirname(there)
    if (statfsSync(there).type !== BPF_FS) {
      const mount = this.root.startsWith(`${STANDARD_MOUNT}/`) ? STANDARD_MOUNT : dirname(this.root)
      throw new FlowdamError('FD_BPFFS_MISSING', `${this.root} is not inside a BPF file system`, {
        remedy: `mount one: mount -t bpf bpf ${mount} (\`ip netns exec\` hides the machine's: use nsenter --net=/run/netns/NAME)`,
      })
    }
    this.#make('.')
  }

  /** A new folder inside. */
  folder(name: string): Pins {
    this.#make(name)
    return this.at(name)
  }

  /** A folder inside that is there already. */
  at(name: string): Pins {
    return new Pins(join(this.root, name))
  }

  /** A new fd of what is pinned under this name; undefined when there is nothing, or nothing of BPF. */
  get(name: string): number | undefined {
    const fd = libbpf.objectGet(join(this.root, name))
    return fd < 0 ? undefined : fd
  }

  /** In place of what was there. FD_PIN. */
  pin(fd: number, name: string): void {
    this.remove(name)
    const path = join(this.root, name)
    const status = libbpf.objectPin(fd, path)
    if (status < 0) throw new FlowdamError('FD_PIN', `cannot pin ${path}: ${libbpf.errorName(status)}`)
  }

  /** A pin, or a folder with all that is in it; '.' is this folder itself. */
  remove(name: string): void {
    const path = join(this.root, name)
    if (!existsSync(path)) return
    if (statSync(path).isDirectory()) {
      for (const inside of readdirSync(path)) this.remove(join(name, inside))
      rmdirSync(path)
    } else unlinkSync(path)
  }

  list(): string[] {
    return readdirSync(this.root)
  }

  #make(name: string): void {
    const path = join(this.root, name)
    try {
      mkdirSync(path, { recursive: true, mode: 0o700 })
    } catch (cause) {
      throw new FlowdamError('FD_PIN', `cannot make ${path}`, { cause, remedy: 'run as root' })
    }
  }
}

/** bpffs keeps dots for itself (bpf_lookup in kernel/bpf/inode.c); VLAN interfaces have them. */
export function pinName(text: string): string {
  return text.replace(/[^A-Za-z0-9_-]/g, (one) => `%${one.charCodeAt(0).toString(16).padStart(2, '0')}`)
}
