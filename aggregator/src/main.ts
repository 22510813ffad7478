#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
import { parseArgs } from 'node:util'
import {
  configText,
  createLogger,
  describeError,
  FlowdamError,
  formatHostPort,
  onShutdown,
  VERSION,
} from '@flowdam/common'
import { Aggregator } from './app.js'
import { loadAggregatorConfig } from './config/load.js'
import { diffConfig, presentConfig } from './config/present.js'
import type { AggregatorConfig } from './config/schema.js'

const DEFAULT_CONFIG = '/etc/flowdam/aggregator.yaml'

const HELP = `flowdam-aggregator: collects what agents count, bans what is under attack, stores every flow.

Usage: flowdam-aggregator [--config FILE] [--check]

  --config FILE  configuration, default ${DEFAULT_CONFIG}
  --check        validate, print the effective configuration, exit 0 or 2
  --version      print the version
  --help         print this

Signals: SIGHUP reads the configuration again, SIGTERM and SIGINT stop cleanly.
FLOWDAM_LOG=debug (trace, info, warn, error, silent) sets how much is logged on stderr.
`

/** As for most commands: wrong usage or configuration. */
const EXIT_USAGE = 2

function readConfig(file: string): AggregatorConfig {
  try {
    return loadAggregatorConfig(file)
  } catch (error) {
    process.stderr.write(`${describeError(error)}\n`)
    process.exit(EXIT_USAGE)
  }
}

function readArguments() {
  try {
    return parseArgs({
      options: {
        config: { type: 'string', default: DEFAULT_CONFIG },
        check: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
        version: { type: 'boolean', short: 'V', default: false },
      },
    }).values
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${HELP}`)
    process.exit(EXIT_USAGE)
  }
}

async function main(): Promise<void> {
  const { config: file, check, help, version } = readArguments()
  if (help) {
    process.stdout.write(HELP)
    return
  }
  if (version) {
    process.stdout.write(`flowdam-aggregator ${VERSION}\n`)
    return
  }
  const config = readConfig(file)
  if (check) {
    // The unit checks before each start: what is printed ends in the system's log.
    process.stdout.write(configText(presentConfig(config, 'others')))
    return
  }
  const log = createLogger('flowdam-aggregator')
  const aggregator = new Aggregator(config, log, file)
  // From here on a signal stops cleanly, even in the middle of the start.
  onShutdown(async (signal) => {
    log.info({ signal }, 'stopping')
    await aggregator.stop()
    log.info('stopped')
  })
  process.on('SIGHUP', () => reload(aggregator, file))
  await aggregator.start()
  log.info(
    {
      version: VERSION,
      config: file,
      grpc: formatHostPort(aggregator.grpcAddress),
      api: formatHostPort(aggregator.apiAddress),
      http: formatHostPort(aggregator.httpAddress),
      networks: config.networks.map((prefix) => prefix.text),
      dryRun: config.ban.dry_run,
    },
    'aggregator started',
  )

  function reload(running: Aggregator, path: string): void {
    try {
      const fresh = loadAggregatorConfig(path)
      const changes = diffConfig(running.config, fresh)
      const needRestart = running.reload(fresh)
      log.info({ changes }, changes.length === 0 ? 'reloaded: nothing changed' : 'reloaded')
      if (needRestart.length > 0)
        log.warn({ keys: needRestart }, 'these changes take effect at the next start')
    } catch (error) {
      log.error({ err: describeError(error) }, 'not reloaded: the configuration in force stays')
    }
  }
}

main().catch((error: unknown) => {
  process.stderr.write(
    `${FlowdamError.is(error) ? describeError(error) : ((error as Error)?.stack ?? String(error))}\n`,
  )
  process.exit(1)
})
