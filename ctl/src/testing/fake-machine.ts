// SPDX-License-Identifier: Apache-2.0
import type { Sources } from '../doctor/sources.js'

/** A machine made of files, links and what programs print. Values may be changed while it is looked at. */
export class FakeMachine implements Sources {
  readonly files = new Map<string, string>()
  readonly links = new Map<string, string>()
  /** `ethtool -k eth0` → what it prints. */
  readonly outputs = new Map<string, string>()
  /** What happens while the doctor waits. */
  whileAsleep = () => {}

  read(path: string): string | undefined {
    return this.files.get(path)
  }

  list(path: string): string[] {
    const below = [...this.files.keys(), ...this.links.keys()].filter((file) => file.startsWith(`${path}/`))
    return [...new Set(below.map((file) => file.slice(path.length + 1).split('/')[0] ?? ''))].sort()
  }

  link(path: string): string | undefined {
    return this.links.get(path)
  }

  run(...command: string[]): Promise<string | undefined> {
    return Promise.resolve(this.outputs.get(command.join(' ')))
  }

  sleep(): Promise<void> {
    this.whileAsleep()
    return Promise.resolve()
  }
}

/** A machine on which all is well, with one NIC, eth0. */
export function healthyMachine(): FakeMachine {
  const machine = new FakeMachine()
  const files: Record<string, string> = {
    '/proc/sys/kernel/osrelease': '6.12.0-1-amd64\n',
    '/proc/config.gz': 'CONFIG_BPF_SYSCALL=y\nCONFIG_BPF_JIT=y\nCONFIG_NET_CLS_BPF=m\nCONFIG_NET_CLS_ACT=y\n',
    '/proc/sys/net/core/bpf_jit_enable': '1\n',
    '/proc/sys/net/core/bpf_jit_harden': '0\n',
    '/proc/sys/kernel/bpf_stats_enabled': '0\n',
    '/proc/self/status': 'Name:\tnode\nCapEff:\t000001ffffffffff\n',
    '/proc/self/mounts': 'proc /proc proc rw 0 0\nbpf /sys/fs/bpf bpf rw,mode=700 0 0\n',
    '/proc/meminfo': 'MemTotal: 16000000 kB\nMemAvailable:   12000000 kB\n',
    '/proc/sys/net/ipv4/tcp_rmem': '4096\t131072\t6291456\n',
    '/proc/sys/net/core/rmem_max': '16777216\n',
    '/proc/net/softnet_stat': softnet([0, 0], [0, 0]),
    '/sys/devices/system/cpu/online': '0-1\n',
    '/sys/class/net/eth0/ifindex': '2\n',
    '/sys/class/net/eth0/mtu': '1500\n',
    '/sys/class/net/eth0/operstate': 'up\n',
    '/sys/class/net/eth0/queues/rx-0/rps_cpus': '0\n',
    '/sys/class/net/eth0/queues/rx-1/rps_cpus': '0\n',
    '/sys/class/net/eth0/statistics/rx_dropped': '0\n',
    '/sys/class/net/eth0/statistics/rx_missed_errors': '0\n',
    '/sys/class/net/lo/ifindex': '1\n',
  }
  for (const [path, text] of Object.entries(files)) machine.files.set(path, text)
  machine.links.set('/sys/class/net/eth0/device', '../../../0000:01:00.0')
  machine.links.set('/sys/class/net/eth0/device/driver', '../../../../bus/pci/drivers/ice')
  machine.links.set('/usr/lib64/libbpf.so.1', 'libbpf.so.1.5.0')
  machine.files.set('/usr/lib64/libbpf.so.1', '')
  machine.outputs.set('ethtool --version', 'ethtool version 6.1\n')
  return machine
}

/** /proc/net/softnet_stat of CPUs with these drops and squeezes. */
export function softnet(...cpus: [dropped: number, squeezed: number][]): string {
  const hex = (value: number) => value.toString(16).padStart(8, '0')
  return cpus
    .map(([dropped, squeezed]) => `${hex(4711)} ${hex(dropped)} ${hex(squeezed)} ${hex(0)}\n`)
    .join('')
}
