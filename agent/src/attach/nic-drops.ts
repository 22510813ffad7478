// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from 'node:fs'
import { ethtool } from '../kernel/libbpf.js'

/** ETHTOOL_ commands and ETH_SS_STATS of linux/ethtool.h. */
const GSTRINGS = 0x1b
const GSTATS = 0x1d
const GSSET_INFO = 0x37
const SS_STATS = 1
const NAME_BYTES = 32
/** Counters are read at most so often, however many ask. */
const KEEP_MS = 2000
/** /sys/class/net/NAME/statistics: what the card or the driver threw away before any program of ours. */
const SYSFS_DROPS = /^rx_(dropped|errors|.*_errors|nohandler)$|^tx_dropped$/
/** Of the driver's own names; those with xdp count our own verdicts. */
const DRIVER_DROPS = /drop|discard|no_?buf|missed|out_of_buf|alloc_fail|overflow/i

/** What a network card has lost, by the names of its counters; since the interface exists. */
export class NicDrops {
  readonly #name: string
  #at = Number.NEGATIVE_INFINITY
  #kept: ReadonlyMap<string, number> = new Map()

  constructor(name: string) {
    this.#name = name
  }

  /** Empty while there is no such interface. */
  read(): ReadonlyMap<string, number> {
    const now = performance.now()
    if (now - this.#at < KEEP_MS) return this.#kept
    this.#at = now
    this.#kept = new Map([...driverDrops(this.#name), ...kernelDrops(this.#name)])
    return this.#kept
  }
}

function kernelDrops(name: string): [string, number][] {
  const folder = `/sys/class/net/${name}/statistics`
  try {
    return readdirSync(folder)
      .filter((file) => SYSFS_DROPS.test(file))
      .map((file) => [file, Number(readFileSync(`${folder}/${file}`, 'utf8'))])
  } catch {
    // Not there, or not of this network namespace's /sys.
    return []
  }
}

/** What `ethtool -S` shows, as far as it is about losses. Queues are added up: rx_queue_3_drops → rx_queue_drops. */
function driverDrops(name: string): Map<string, number> {
  const sums = new Map<string, number>()
  const info = Buffer.alloc(24)
  info.writeUInt32LE(GSSET_INFO, 0)
  info.writeUInt32LE(1 << SS_STATS, 8)
  if (!ethtool(name, info)) return sums
  const count = info.readUInt32LE(16)
  if (count === 0 || info.readUInt32LE(8) === 0) return sums
  const names = Buffer.alloc(12 + count * NAME_BYTES)
  names.writeUInt32LE(GSTRINGS, 0)
  names.writeUInt32LE(SS_STATS, 4)
  names.writeUInt32LE(count, 8)
  const values = Buffer.alloc(8 + count * 8)
  values.writeUInt32LE(GSTATS, 0)
  values.writeUInt32LE(count, 4)
  if (!ethtool(name, names) || !ethtool(name, values)) return sums
  for (let i = 0; i < count; i++) {
    const at = 12 + i * NAME_BYTES
    const counter = names.toString('latin1', at, at + NAME_BYTES).replace(/\0.*$/s, '')
    if (!DRIVER_DROPS.test(counter) || /xdp/i.test(counter)) continue
    const label = counter.replace(/[^A-Za-z0-9]+/g, '_').replace(/_?\d+_/g, '_')
    sums.set(label, (sums.get(label) ?? 0) + Number(values.readBigUInt64LE(8 + i * 8)))
  }
  return sums
}
