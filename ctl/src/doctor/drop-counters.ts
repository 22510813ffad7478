// SPDX-License-Identifier: Apache-2.0
import { formatCount } from '../output/units.js'
import { parseStatistics } from './ethtool.js'
import { type Finding, note, ok, problem, warning } from './finding.js'
import { readNumber, type Sources } from './sources.js'

/** Counter → packets since the driver was loaded. */
export type Counters = Map<string, number>

/** Drops in the hardware or its rings: no program of ours can count what they swallow. */
const BEFORE_XDP = ['rx_missed_errors', 'rx_fifo_errors', 'rx_over_errors']
/** Drops in the kernel, mostly behind us: unknown protocols, full backlogs. */
const BEHIND_XDP = ['rx_dropped']

/**
 * What drivers call frames that found no buffer: rx_no_buffer_count (igb), rx_out_of_buffer and rx_discards_phy (mlx5),
 * rx_no_dma_resources (ixgbe), rx_total_discard_pkts (bnxt), rx_overruns (ena), rx_drops (virtio).
 */
const NIC_DROP =
  /no_?buf|out_of_buffer|no_dma|discard|missed|overrun|fifo_err|alloc_fail|(^|_)drops?($|_)|dropped/i
const NOT_OURS = /tx|xdp|steer|ptp|ipsec|tls/i

/** The drop counters of one interface, as they are now. */
export async function readDropCounters(sources: Sources, name: string): Promise<Counters> {
  const counters: Counters = new Map()
  for (const counter of [...BEFORE_XDP, ...BEHIND_XDP]) {
    const value = readNumber(sources, `/sys/class/net/${name}/statistics/${counter}`)
    if (value !== undefined) counters.set(counter, value)
  }
  for (const [counter, value] of nicDrops((await sources.run('ethtool', '-S', name)) ?? '')) {
    counters.set(`nic:${counter}`, value)
  }
  return counters
}

/** Totals of the driver; where it counts per queue alone (veth), those summed up: `rx_queue_N_drops`. */
function nicDrops(statistics: string): Counters {
  const totals: Counters = new Map()
  const perQueue: Counters = new Map()
  for (const [counter, value] of parseStatistics(statistics)) {
    if (!NIC_DROP.test(counter) || NOT_OURS.test(counter)) continue
    const summed = counter.replace(/\d+/g, 'N')
    if (summed === counter) totals.set(counter, value)
    else perQueue.set(summed, (perQueue.get(summed) ?? 0) + value)
  }
  return totals.size > 0 ? totals : perQueue
}

/** What moved between two readings of one interface. */
export function checkDropCounters(
  name: string,
  before: Counters,
  after: Counters,
  seconds: number,
): Finding[] {
  const moving = [...after]
    .map(([counter, value]) => ({ counter, perSecond: (value - (before.get(counter) ?? value)) / seconds }))
    .filter(({ perSecond }) => perSecond > 0)
  if (moving.length > 0)
    return moving.map(({ counter, perSecond }) => movingCounter(name, counter, perSecond))
  const old = [...after].filter(([, value]) => value > 0)
  if (old.length === 0)
    return [ok('interface.drops', 'no packet has been dropped before it could be counted')]
  const totals = old.map(([counter, value]) => `${plainName(counter)} ${formatCount(value)}`).join(', ')
  return [note('interface.drops', `drops in the past, none now: ${totals}`)]
}

function movingCounter(name: string, counter: string, perSecond: number): Finding {
  const text = `${plainName(counter)} grows by ${formatCount(perSecond)}/s`
  if (BEHIND_XDP.includes(counter)) {
    return warning(
      'interface.drops',
      `${text}: the kernel throws packets away, most of them after they were counted`,
      'see column 2 of /proc/net/softnet_stat (backlog full): sysctl -w net.core.netdev_max_backlog=10000',
    )
  }
  return problem(
    'interface.drops',
    `${text}: packets are lost before any program sees them`,
    `larger rings (ethtool -G ${name} rx …), more queues (ethtool -L ${name} combined …), or a faster CPU`,
  )
}

function plainName(counter: string): string {
  return counter.replace(/^nic:/, '')
}
