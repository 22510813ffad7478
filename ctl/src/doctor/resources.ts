// SPDX-License-Identifier: Apache-2.0
import { formatBytes } from '@flowdam/common'
import { type Finding, note, ok, warning } from './finding.js'
import { readNumber, type Sources } from './sources.js'

/** Flow slots (65 536 of 64 bytes) and their index (4 bytes, twice as many), two epochs, two directions. */
const MAP_BYTES_PER_CPU = 65_536 * (64 + 2 * 4) * 2 * 2
/** For a stream of 30 MB/s over 100 ms of round trip. */
const WANTED_TCP_BUFFER = 4 * 1024 * 1024
/** For datagrams of other exporters: half a second of 100 Mbit/s. */
const WANTED_UDP_BUFFER = 8 * 1024 * 1024

/** Memory for the maps and for sockets. */
export function checkResources(sources: Sources, cpus: number): Finding[] {
  return [...mapMemory(sources, cpus), ...tcpBuffer(sources), ...udpBuffer(sources), ...nohz(sources)]
}

export function countCpus(sources: Sources): number {
  const online = sources.read('/sys/devices/system/cpu/online')?.trim() ?? ''
  return online.split(',').reduce((sum, range) => {
    const [first = 0, last = first] = range.split('-').map(Number)
    return sum + (Number.isFinite(last - first) ? last - first + 1 : 0)
  }, 0)
}

function mapMemory(sources: Sources, cpus: number): Finding[] {
  const available =
    Number(/^MemAvailable:\s*(\d+) kB$/m.exec(sources.read('/proc/meminfo') ?? '')?.[1]) * 1024
  if (!Number.isFinite(available)) return []
  const needed = cpus * MAP_BYTES_PER_CPU
  const text = `${cpus} CPUs: the flow tables take ${formatBytes(needed)} of ${formatBytes(available)} available`
  if (needed < available / 2) return [ok('resources.memory', text)]
  return [warning('resources.memory', text, 'set a smaller flow_slots in agent.yaml')]
}

function tcpBuffer(sources: Sources): Finding[] {
  const greatest = Number(sources.read('/proc/sys/net/ipv4/tcp_rmem')?.trim().split(/\s+/)[2])
  if (!Number.isFinite(greatest)) return []
  if (greatest >= WANTED_TCP_BUFFER) {
    return [ok('resources.tcp_rmem', `TCP receive buffers grow to ${formatBytes(greatest)}`)]
  }
  return [
    warning(
      'resources.tcp_rmem',
      `TCP receive buffers stop at ${formatBytes(greatest)}: slow streams from agents far away`,
      'sysctl -w net.ipv4.tcp_rmem="4096 131072 6291456"',
    ),
  ]
}

function udpBuffer(sources: Sources): Finding[] {
  const greatest = readNumber(sources, '/proc/sys/net/core/rmem_max')
  if (greatest === undefined) return []
  const text = `socket receive buffers may ask for ${formatBytes(greatest)} (rmem_max)`
  if (greatest >= WANTED_UDP_BUFFER) return [ok('resources.rmem_max', text)]
  return [
    note(
      'resources.rmem_max',
      `${text}; little where datagrams are received`,
      `sysctl -w net.core.rmem_max=${WANTED_UDP_BUFFER}`,
    ),
  ]
}

/** membarrier(GLOBAL), the short way to a grace period, is refused while nohz_full is in use. */
function nohz(sources: Sources): Finding[] {
  const cpus = sources.read('/sys/devices/system/cpu/nohz_full')?.trim() ?? ''
  if (cpus === '' || cpus === '(null)') return []
  return [
    note(
      'resources.nohz_full',
      `CPUs ${cpus} run without ticks (nohz_full): ending an epoch takes longer there`,
    ),
  ]
}
