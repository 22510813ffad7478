#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
import { createLogger, describeError, onShutdown, parseHostPort, VERSION } from '@flowdam/common'
import { Agent } from './agent.js'
import { HELP, parseCommandLine } from './cli.js'
import { loadAgentConfig, presentAgentConfig } from './config.js'
import { detach } from './detach.js'

/** Usage and configuration errors; anything else is 1. */
const EXIT_USAGE = 2

async function main(): Promise<void> {
  let invocation: ReturnType<typeof parseCommandLine>
  try {
    invocation = parseCommandLine(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`${describeError(error)}\n`)
    process.exit(EXIT_USAGE)
  }
  if (invocation.action === 'help') return void process.stdout.write(HELP)
  if (invocation.action === 'version') return void process.stdout.write(`flowdam-agent ${VERSION}\n`)
  const { action, config, file } = invocation
  if (action === 'check') return void process.stdout.write(presentAgentConfig(config))
  if (action === 'detach') return void process.stdout.write(`${detach(config)}\n`)

  const log = createLogger('flowdam-agent')
  const agent = new Agent(config, log)
  // At once: a signal during the start must not leave anything behind.
  let closeHttp = async () => {}
  onShutdown(async (signal) => {
    log.info({ signal }, 'stopping')
    await closeHttp()
    await agent.stop()
    log.info('stopped')
  })
  process.on('SIGHUP', () => reload(agent, file))
  await agent.start()
  if (config.http) {
    // Loaded only where it is wanted: it costs memory.
    const { serveMetrics } = await import('./metrics.js')
    closeHttp = await serveMetrics(agent, parseHostPort(config.http))
  }
}

function reload(agent: Agent, file: string | undefined): void {
  if (file === undefined) {
    agent.log.warn('SIGHUP: there is no configuration file to read again')
    return
  }
  try {
    agent.reload(loadAgentConfig(file))
  } catch (error) {
    agent.log.error(
      { reason: describeError(error) },
      'configuration not reloaded: the old one stays in force',
    )
  }
}

main().catch((error) => {
  process.stderr.write(`${describeError(error)}\n`)
  process.exit(1)
})
