// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Daemons } from '../lab/daemons.js'
import { Guard } from '../lab/guard.js'
import { View } from './view.js'

export interface InterfaceDemo {
  interface: string
  networks: readonly string[]
  thresholdPps: number
}

/** The same picture for a real interface: counted and detected, never banned. */
export async function interfaceDemo(options: InterfaceDemo, signal: AbortSignal): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'flowdam-demo-'))
  const guard = new Guard(folder, [])
  const daemons = new Daemons({
    folder,
    interfaces: [options.interface],
    networks: options.networks,
    thresholdPps: options.thresholdPps,
    banDuration: '60s',
    dryRun: true,
  })
  guard.start()
  try {
    process.stdout.write(`starting aggregator and agent on ${options.interface} …\n`)
    await daemons.start()
    const view = new View(daemons.api, {
      title: `${options.interface}, bans in dry run`,
      thresholdPps: options.thresholdPps,
      hints: ['npx flowdam top', 'npx flowdam explain ADDRESS'],
    })
    view.start()
    try {
      await aborted(signal)
    } finally {
      await view.stop()
    }
  } finally {
    process.stdout.write('taking everything away …\n')
    await daemons.stop()
    await guard.stop()
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
