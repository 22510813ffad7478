// SPDX-License-Identifier: Apache-2.0
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Lab } from '../lab/lab.js'
import { waitFor } from '../lab/wait.js'
import { type Bench, median } from './result.js'

const RUNS = 20
const THRESHOLD_PPS = 10_000
/** Measured with FastNetMon Community 1.2.4 on such a machine: a 5-fold flood was banned after a median 1.5 s. */
const FASTNETMON_MS = 1500

/**
 * Real packets at five times the threshold: from the generator's first packet to the first line of the hook script,
 * by the clock of the same machine.
 */
export const floodLatency: Bench = async ({ log }) => {
  const folder = mkdtempSync(join(tmpdir(), 'flowdam-bench-'))
  const hook = join(folder, 'hook')
  // One file for each ban: name and content need no lock.
  writeFileSync(hook, `#!/bin/sh\n[ "$4" = ban ] && date +%s%3N > "${folder}/$1.$$.ban"\nexit 0\n`)
  chmodSync(hook, 0o755)
  const lab = new Lab({
    thresholdPps: THRESHOLD_PPS,
    banDuration: '1s',
    bgp: false,
    hooks: [{ name: 'clock', run: [hook], format: 'fastnetmon', timeout: '10s' }],
  })
  try {
    await lab.start()
    const runs: number[] = []
    for (let run = 0; run < RUNS; run++) {
      // A victim of its own for each run: no window and no ban of an earlier run can help or hinder.
      const victim = `203.0.113.${100 + run}`
      const traffic = lab.send({
        from: 'internet',
        args: [
          ...['--profile', 'udp-flood', '--victim', victim, '--rate', String(THRESHOLD_PPS * 5)],
          ...['--duration', '1.5'],
        ],
      })
      const { started_unix_ms } = await traffic.ended()
      const file = await waitFor('the hook to run', async () =>
        readdirSync(folder).find((name) => name.startsWith(`${victim}.`)),
      )
      // The shell makes the file before `date` writes into it.
      const hookMs = await waitFor(
        'the hook to write',
        async () => Number(readFileSync(join(folder, file), 'utf8')) || undefined,
      )
      runs.push(hookMs - started_unix_ms)
    }
    const sorted = [...runs].sort((a, b) => a - b)
    // Of 20 runs the 99th percentile is the slowest.
    const worst = sorted.at(-1) ?? Number.NaN
    log(`detect.latency.5x: p99 of ${RUNS} runs ${worst} ms (goal 500)`)
    const value = median(runs)
    return [
      {
        id: 'detect.latency.5x',
        value,
        unit: 'ms',
        reference: { what: 'FastNetMon with its defaults, ms', value: FASTNETMON_MS },
        ratio: value / FASTNETMON_MS,
        goal: 'median <= 250 ms, p99 <= 500 ms',
        met: value <= 250 && worst <= 500,
        runs,
      },
    ]
  } finally {
    await lab.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}
