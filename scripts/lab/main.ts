#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
import { HELP, type LabOptions, readOptions } from './options.js'
import { type LabResult, runScenario } from './scenario.js'
import type { Sums } from './traffic.js'

function parse(): LabOptions | undefined {
  try {
    return readOptions(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`lab: ${error instanceof Error ? error.message : String(error)}\n\n${HELP}`)
    process.exit(2)
  }
}

function printResult({ sent, lost, ledger, stored, storedKeys, timeline, ok }: LabResult): void {
  const row = (name: string, { packets, bytes, flows }: Sums, what: string) =>
    `  ${name.padEnd(8)}${String(packets).padStart(12)} packets${String(bytes).padStart(15)} bytes${String(flows).padStart(10)} ${what}`
  const lines = [
    '',
    ...timeline.map(({ event, atMs }) => `${(atMs / 1000).toFixed(3).padStart(9)} s  ${event}`),
    '',
    row('sent', sent, 'flows'),
    ...(lost > 0
      ? [`  lost    ${String(lost).padStart(12)} packets by the test network itself (Linux before 6.16)`]
      : []),
    row('ledger', ledger, 'flow records'),
    row('stored', stored, `rows of ${storedKeys} flows`),
    '',
    ok ? 'ok' : 'NOT ok',
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}

async function main(): Promise<void> {
  const options = parse()
  if (!options) {
    process.stdout.write(HELP)
    return
  }
  const interrupted = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => interrupted.abort(new Error(`ended by ${signal}`)))
  }
  const say = options.json ? () => {} : (text: string) => process.stdout.write(`${text}\n`)
  const result = await runScenario(options, say, interrupted.signal)
  if (options.json) {
    const { sent, ledger, stored, timeline, ok } = result
    process.stdout.write(`${JSON.stringify({ sent, ledger, stored, timeline, ok })}\n`)
  } else {
    printResult(result)
  }
  process.exitCode = result.ok ? 0 : 1
}

main().catch((error: unknown) => {
  process.stderr.write(`lab: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
})
