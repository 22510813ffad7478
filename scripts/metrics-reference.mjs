#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
//
// docs/metrics.md from what both daemons register. `--check`: only says whether it is as it should be.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Agent } from '@flowdam/agent/internal/agent'
import { REASONS } from '@flowdam/agent/internal/kernel/layout'
import { agentRegistry } from '@flowdam/agent/internal/metrics'
import { QUEUE_DROP_REASONS } from '@flowdam/agent/internal/stream/queue-drops'
import { REFUSALS } from '@flowdam/aggregator/internal/access/counts'
import { aggregatorMetrics } from '@flowdam/aggregator/internal/metrics'
import { LOSS_REASONS } from '@flowdam/aggregator/internal/spool/losses'
import { addStoreMetrics } from '@flowdam/aggregator/internal/store/metrics'
import { ROOT } from './setup/run.mjs'

const FILE = join(ROOT, 'docs', 'metrics.md')

const HEAD = `<!-- SPDX-License-Identifier: Apache-2.0 -->
<!-- Made by scripts/metrics-reference.mjs; do not edit. -->
# Metrics

For Prometheus: \`/metrics\` of the aggregator (\`listen.http\`, 127.0.0.1:8080) and of each agent (\`http\`, such as 127.0.0.1:8081).
[deploy/prometheus/alerts.yml](../deploy/prometheus/alerts.yml) has alerts on them, [deploy/grafana/flowdam.json](../deploy/grafana/flowdam.json) a dashboard;
how to use them is in [operating.md](operating.md#prometheus-and-grafana).

Two of them are the books: \`flowdam_agent_packets_total\` is everything the kernel has seen, by what became of it, and
\`flowdam_dropped_total\` with \`flowdam_agent_dropped_records_total\` are the only places where anything may disappear.
\`flowdam_lost_packets_total\` says exactly what is not in the store for it, over restarts of either daemon.

Some names stand in both tables: \`{agent=""}\` selects what an agent says of itself, \`{agent!=""}\` what the aggregator knows of its
agents. An agent's own metrics have the \`instance\` that Prometheus scrapes; its id comes with a join:

    rate(flowdam_agent_records_total[1m]) * on (instance) group_left (agent) flowdam_agent_info
`

/** Registering reads nothing: whatever is asked of this is itself. */
const nothing = new Proxy(() => nothing, {
  get: (_, name) => (name === Symbol.iterator ? [][Symbol.iterator].bind([]) : nothing),
})

function table(registry) {
  const rows = registry
    .getMetricsAsArray()
    .filter(({ name }) => !/_(process|nodejs)_/.test(name))
    .sort((a, b) => a.name.localeCompare(b.name))
    .map(({ name, help, type, labelNames = [] }) => {
      const labels = labelNames.filter((label) => label !== 'le').map((label) => `\`${label}\``)
      return `| \`${name}\` | ${type} | ${labels.join(', ')} | ${help} |`
    })
  return ['| metric | type | labels | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n')
}

const code = (values) => values.map((value) => `\`${value}\``).join(', ')

/** Labels whose values are few and known before. */
const VALUES = [
  ['flowdam_agent_packets_total', 'result', code(['flow', 'overflow', 'not_ip', 'malformed'])],
  ['flowdam_agent_packets_total', 'direction', code(['ingress', 'egress'])],
  ['flowdam_agent_reason_packets_total', 'reason', code(REASONS)],
  ['flowdam_agent_dropped_records_total', 'reason', `${code(QUEUE_DROP_REASONS)}: [stream.md](stream.md)`],
  ['flowdam_agent_connect_failures_total', 'reason', code(['unreachable', 'tls', 'version', 'refused'])],
  [
    'flowdam_dropped_total',
    'stage, reason',
    'each in [troubleshooting.md](troubleshooting.md#what-is-lost), with its unit',
  ],
  ['flowdam_lost_records_total', 'stage, reason', lossReasons()],
  [
    'flowdam_flows_total',
    'stage',
    `${code(['received', 'duplicate', 'spooled', 'stored'])}: received = duplicate + spooled + dropped by the spool`,
  ],
  [
    'flowdam_hostgroup_pps',
    'hostgroup',
    "a hostgroup's name; `total`: everything protected, the hostgroups included",
  ],
  ['flowdam_hostgroup_pps', 'direction', code(['incoming', 'outgoing'])],
  ['flowdam_bans_stopped', 'state', code(['paused', 'tripped'])],
  ['flowdam_hook_runs_total', 'action', code(['ban', 'update', 'unban'])],
  [
    'flowdam_hook_runs_total',
    'result',
    `${code(['ok', 'failed', 'timeout', 'skipped'])}: skipped is an update that came while the hook was busy`,
  ],
  [
    'flowdam_store_retries_total',
    'reason',
    `${code(['retry', 'crowded', 'schema', 'bad_data'])}: [store.md](store.md)`,
  ],
  ['flowdam_api_refused_total', 'reason', code(REFUSALS)],
]

function lossReasons() {
  return Object.entries(LOSS_REASONS)
    .map(([stage, reasons]) => `\`${stage}\`: ${code(reasons)}`)
    .join('; ')
}

function values() {
  const rows = VALUES.map(([metric, label, text]) => `| \`${metric}\` | ${label} | ${text} |`)
  return ['| metric | label | values |', '| --- | --- | --- |', ...rows].join('\n')
}

function reference() {
  const agent = new Agent({ id: 'edge1', queue: 1 }, nothing)
  return `${HEAD}
## The agent

${table(agentRegistry(agent))}

Beside these \`flowdam_agent_process_…\` and \`flowdam_agent_nodejs_…\`: CPU, memory, event loop and garbage collection of the process, by prom-client.

## The aggregator

${table(addStoreMetrics(aggregatorMetrics(nothing), nothing, nothing))}

Beside these \`flowdam_process_…\` and \`flowdam_nodejs_…\`: the process itself, by prom-client.

## Values of labels

Those of metrics of the same family are the same (\`…_packets_total\`, \`…_bytes_total\`).

${values()}
`
}

const text = reference()
if (!process.argv.includes('--check')) writeFileSync(FILE, text)
else if (text !== readFileSync(FILE, 'utf8')) {
  process.stderr.write(
    'docs/metrics.md is not what the daemons register; run: node scripts/metrics-reference.mjs\n',
  )
  process.exitCode = 1
}
