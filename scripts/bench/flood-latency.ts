// SPDX-License-Identifier: Apache-2.0
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Lab } from '../lab/lab.js'
import { waitFor } from '../lab/wait.js'
import { type Bench, median } from './result.js'

const RUNS = 20
const THRESHOLD_PPS = 10_000
const WINDOW_MS = 1000
/** What may come on top of the time in which the flood uses the window's budget up: median, and the slowest of all. */
const MEDIAN_OVER_MS = 50
const WORST_OVER_MS = 300
/** Measured with FastNetMon Community 1.2.4 on such a machine: a 5-fold flood was banned after a median 1.5 s. */
const FASTNETMON_MS = 1500

/**
 * Real packets at so many times the threshold: from the generator's first packet to the first line of the hook script,
 * by the clock of the same machine. A threshold over a window of a second cannot fire before `1 s / factor`.
 */
export const floodLatency =
  (factor: number): Bench =>
  async ({ log }) => {
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
            ...['--profile', 'udp-flood', '--victim', victim, '--rate', String(THRESHOLD_PPS * factor)],
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
      const id = `detect.latency.${factor}x`
      const budgetMs = WINDOW_MS / factor
      const goalMs = Math.round(budgetMs + MEDIAN_OVER_MS)
      const worstMs = Math.round(budgetMs + WORST_OVER_MS)
      log(`${id}: p99 of ${RUNS} runs ${worst} ms (goal ${worstMs})`)
      const value = median(runs)
      const reference =
        factor === 5
          ? { what: 'FastNetMon with its defaults, ms', value: FASTNETMON_MS }
          : { what: 'ms until the budget is used up', value: budgetMs }
      return [
        {
          id,
          value,
          unit: 'ms',
          reference,
          ratio: value / reference.value,
          goal: `median <= ${goalMs} ms, p99 <= ${worstMs} ms`,
          met: value <= goalMs && worst <= worstMs,
          runs,
        },
      ]
    } finally {
      await lab.stop()
      rmSync(folder, { recursive: true, force: true })
    }
  }
