// SPDX-License-Identifier: Apache-2.0
//
// Runs commands one after the other, shows what they print, and remembers which failed.
import { spawnSync } from 'node:child_process'
import { PATH, ROOT } from '../setup/run.mjs'
import { RINGS, testFiles } from './files.mjs'

/** Names of what failed, with the time each part took. */
export class Report {
  #lines = []
  #failed = false

  /** Runs a command with its output on our terminal. */
  command(name, program, args) {
    process.stdout.write(`\n── ${name}\n`)
    const started = performance.now()
    const { status, signal, error } = spawnSync(program, args, {
      cwd: ROOT,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, PATH },
    })
    if (error) process.stdout.write(`${error.message}\n`)
    this.#add(name, status === 0, started, signal ?? (status === 0 ? 'ok' : 'failed'))
  }

  /** One ring of tests, by node:test. A ring without a test is an error: something was not built. */
  ring(ring) {
    const { what, concurrency, limitS } = RINGS[ring]
    const files = testFiles(ring)
    if (files.length === 0) return this.#add(`${ring} tests`, false, performance.now(), 'no test file found')
    const options = [
      '--test',
      '--test-reporter=spec',
      `--test-concurrency=${concurrency}`,
      `--test-timeout=${limitS * 1000}`,
      '--enable-source-maps',
    ]
    this.command(`${ring} tests (${what})`, process.execPath, [...options, ...files])
  }

  /** Prints the summary; true when all went well. */
  finish() {
    process.stdout.write(`\n${this.#lines.join('\n')}\n`)
    return !this.#failed
  }

  #add(name, ok, started, word) {
    if (!ok) this.#failed = true
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    this.#lines.push(`${ok ? '✔' : '✖'} ${name}: ${word} (${seconds} s)`)
  }
}
