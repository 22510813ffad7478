// SPDX-License-Identifier: Apache-2.0
import { parseArgs } from 'node:util'

export interface LabOptions {
  json: boolean
  thresholdPps: number
  /** Of the flood, seconds. */
  floodSeconds: number
}

export const HELP = `npm run lab [-- OPTIONS]

Builds a network of namespaces with an edge, a router and two BGP speakers, sends ordinary traffic and then a flood of
five times the threshold, and prints what happened when: detection, ban, hook, blackhole route at the router, and all
of it undone. Then compares what was sent with the kernel's ledger and the rows in the store. Needs root.

  --json               one line: { sent, ledger, stored, timeline: [{ event, atMs }], ok }
  --threshold PPS      towards one address (20000)
  --flood SECONDS      how long the flood lasts (5)
  --help               this text

The daemons' logs go with the lab, unless the environment variable FLOWDAM_LAB_LOGS names a folder to keep them in.
Exit status: 0 ok, 1 not ok, 2 wrong options.
`

/** Undefined when only the help was asked for; throws TypeError for what it does not know. */
export function readOptions(argv: readonly string[]): LabOptions | undefined {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      json: { type: 'boolean', default: false },
      threshold: { type: 'string', default: '20000' },
      flood: { type: 'string', default: '5' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  return {
    json: values.json,
    thresholdPps: positive('--threshold', values.threshold),
    floodSeconds: positive('--flood', values.flood),
  }
}

function positive(name: string, text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new TypeError(`${name} needs a number above 0, not '${text}'`)
  return value
}
