// SPDX-License-Identifier: Apache-2.0
import { hostname } from 'node:os'
import { parseArgs } from 'node:util'
import { describeError, FlowdamError, parseConfigText } from '@flowdam/common'
import { type AgentConfig, agentSchema, loadAgentConfig, plaintextIssues } from './config.js'

export const HELP = `flowdam-agent counts every flow on this machine's interfaces and streams the counts to the aggregator.

Usage: flowdam-agent --config FILE [--check | --detach]
       flowdam-agent --interface NAME[:internal] … [--id ID] [--aggregator HOST:PORT] [KEY flags]

  --config FILE            agent.yaml; SIGHUP reads it again
  --check                  validate, print the effective configuration, exit 0 or 2
  --detach                 take away what an agent with keep_attached left attached and pinned
  --id ID                  the agent's name (default: this machine's)
  --aggregator HOST:PORT,… in order of preference; default 127.0.0.1:50060
  --interface NAME         count here; may be given several times
  --attach MODE            auto, native or generic
  --mode MODE              inline or tap
  --direction DIRECTION    both or ingress
  --networks PREFIX,…      protected networks until the aggregator says its own
  --set KEY=VALUE          any other key of agent.yaml
  --http HOST:PORT         serve /metrics and /healthz
  --insecure               plaintext to another machine
  --version, --help

Log lines go to stderr as JSON; FLOWDAM_LOG sets the level (trace … silent).
`

export type Invocation =
  | { action: 'help' }
  | { action: 'version' }
  | { action: 'check' | 'detach' | 'run'; config: AgentConfig; file: string | undefined }

/** FD_USAGE, FD_CONFIG_…. */
export function parseCommandLine(args: readonly string[]): Invocation {
  const { values } = parse(args)
  if (values.help) return { action: 'help' }
  if (values.version) return { action: 'version' }
  const action = values.check ? 'check' : values.detach ? 'detach' : 'run'
  if (values.config !== undefined) {
    const extra = Object.keys(values).filter((name) => !['config', 'check', 'detach'].includes(name))
    if (extra.length > 0) {
      throw usage(`--${extra[0]} and --config do not go together: the file says it all`)
    }
    return { action, config: loadAgentConfig(values.config), file: values.config }
  }
  if (!values.interface) throw usage('give --config FILE or --interface NAME')
  const raw: Record<string, unknown> = {
    id: values.id ?? hostname(),
    interfaces: values.interface.map((text) => {
      const [name, boundary] = text.split(':')
      return boundary ? { name, boundary } : name
    }),
    ...(values.networks && { networks: values.networks.split(',') }),
  }
  if (values.aggregator !== undefined) raw['aggregator'] = values.aggregator.split(',')
  for (const key of ['attach', 'mode', 'direction', 'http', 'insecure'] as const) {
    if (values[key] !== undefined) raw[key] = values[key]
  }
  for (const pair of values.set ?? []) {
    const at = pair.indexOf('=')
    if (at < 1) throw usage(`--set ${pair}: write KEY=VALUE`)
    raw[pair.slice(0, at)] = pair.slice(at + 1)
  }
  // JSON is YAML: the same complaints as for a file.
  const file = parseConfigText('command line', JSON.stringify(raw), agentSchema)
  const issues = plaintextIssues(file.config)
  if (issues.length > 0) throw file.error(issues)
  return { action, config: file.config, file: undefined }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: false,
      options: {
        config: { type: 'string' },
        check: { type: 'boolean' },
        detach: { type: 'boolean' },
        id: { type: 'string' },
        aggregator: { type: 'string' },
        interface: { type: 'string', multiple: true },
        attach: { type: 'string' },
        mode: { type: 'string' },
        direction: { type: 'string' },
        networks: { type: 'string' },
        set: { type: 'string', multiple: true },
        http: { type: 'string' },
        insecure: { type: 'boolean' },
        version: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw usage(describeError(error))
  }
}

function usage(message: string): FlowdamError {
  return new FlowdamError('FD_USAGE', message, { remedy: 'see flowdam-agent --help' })
}
