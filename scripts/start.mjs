#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
//
// npm start: sets the machine up and shows the main job on real packets.
import { parseArgs } from 'node:util'
import { setupOrExit } from './setup.mjs'

const HELP = `npm start [-- OPTIONS]

Installs what is missing, builds, makes a small network of namespaces (internet, customers, an edge, a router with
GoBGP), runs an aggregator with the embedded store and an agent on the edge's uplink, sends ordinary traffic and
every minute a flood, and shows what happens. No interface of the machine is touched. Ctrl-C takes everything away.

  --interface NAME      count on this real interface instead, and only say what would be banned; needs --networks
  --networks PREFIX,…   ours: what may be attacked (with --interface)
  --threshold PPS       packets per second towards one address that make an attack (20000)
  --duration SECONDS    end by itself
  --help                this text
`

function readOptions() {
  const { values } = parseArgs({
    options: {
      interface: { type: 'string' },
      networks: { type: 'string' },
      threshold: { type: 'string', default: '20000' },
      duration: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  const networks = values.networks?.split(',').filter(Boolean) ?? []
  if (values.interface !== undefined && networks.length === 0)
    throw new TypeError('--interface needs --networks PREFIX,…')
  if (values.interface === undefined && networks.length > 0)
    throw new TypeError('--networks needs --interface NAME')
  return {
    networks,
    thresholdPps: positive('--threshold', values.threshold),
    ...(values.interface !== undefined && { interface: values.interface }),
    ...(values.duration !== undefined && { durationS: positive('--duration', values.duration) }),
  }
}

function positive(name, text) {
  const value = Number(text)
  if (!(value > 0)) throw new TypeError(`${name} needs a number above 0, not '${text}'`)
  return value
}

async function main() {
  let options
  try {
    options = readOptions()
  } catch (error) {
    process.stderr.write(`npm start: ${error.message}\n\n${HELP}`)
    process.exitCode = 2
    return
  }
  if (!options) {
    process.stdout.write(HELP)
    return
  }
  await setupOrExit()
  // Compiled by the setup, so not before it.
  const { demo } = await import('./dist/demo/main.js')
  try {
    await demo(options)
  } catch (error) {
    process.stderr.write(`npm start: ${error.message}\n`)
    process.exitCode = 1
  }
}

await main()
