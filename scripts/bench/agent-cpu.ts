// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Lab } from '../lab/lab.js'
import { type Bench, type BenchResult, median } from './result.js'

const PPS = 100_000
const FLOWS = 10_000
const RUNS = 5
const RUN_SECONDS = 5
const WARM_UP_SECONDS = 3
/** USER_HZ, the unit of /proc/PID/stat; 100 on every Linux. */
const TICKS_PER_SECOND = 100

/** What the agent costs in user space at 100 000 packets/s of 10 000 flows, beside one whole core. */
export const agentCpu: Bench = async ({ log }) => {
  const lab = new Lab({ thresholdPps: 1e9, bgp: false, exportInterval: '5s' })
  try {
    await lab.start()
    const seconds = WARM_UP_SECONDS + RUNS * RUN_SECONDS
    const traffic = lab.send({
      from: 'internet',
      args: ['--flows', String(FLOWS), '--rate', String(PPS), '--duration', String(seconds + 1)],
    })
    await sleep(WARM_UP_SECONDS * 1000)
    const shares: number[] = []
    const residents: number[] = []
    for (let run = 0; run < RUNS; run++) {
      const before = cpuSeconds(lab.daemons.agent.pid)
      const began = performance.now()
      await sleep(RUN_SECONDS * 1000)
      shares.push((cpuSeconds(lab.daemons.agent.pid) - before) / ((performance.now() - began) / 1000))
      residents.push(residentMb(lab.daemons.agent.pid))
    }
    const { pps } = await traffic.ended()
    log(`agent.cpu: the generator sent ${Math.round(pps)} packets/s`)
    return [
      entry('agent.cpu', shares, 'of one core', { what: 'one core', value: 1 }, 0.05, '<= 5 % of one core'),
      entry('agent.rss', residents, 'MB', { what: 'the goal, MB', value: 120 }, 120, '<= 120 MB'),
    ]
  } finally {
    await lab.stop()
  }
}

function entry(
  id: string,
  runs: number[],
  unit: string,
  reference: BenchResult['reference'],
  most: number,
  goal: string,
): BenchResult {
  const value = median(runs)
  return { id, value, unit, reference, ratio: value / reference.value, goal, met: value <= most, runs }
}

/** User and system time of a process, all its threads. proc(5): fields 14 and 15, behind the name in brackets. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

function residentMb(pid: number): number {
  const kilobytes = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return (Number(kilobytes) * 1024) / 1e6
}
