// SPDX-License-Identifier: Apache-2.0
import { formatBytes, formatDuration } from '@flowdam/common'
import type { Agent, AgentInterface } from '@flowdam/proto'
import { Command } from 'commander'
import { examples } from '../help.js'
import { type Column, renderTable } from '../output/table.js'
import { formatAgo, formatCount } from '../output/units.js'
import { inSession, type World } from '../session.js'

export function agentsCommand(world: World): Command {
  return new Command('agents')
    .description('the agents: connection, interfaces, clocks, queues')
    .addHelpText('after', examples(['flowdam agents', ''], ['flowdam agents --json', 'for a program']))
    .action((_options: object, command: Command) =>
      inSession(world, command, async (session) => {
        const { client } = session
        const response = await client.call(client.status.listAgents.bind(client.status), {})
        if (session.json) return session.writeJson(response)
        if (response.agents.length === 0) return session.write('no agent has connected yet\n')
        session.write(renderTable(columns(session.now()), response.agents, session.terminal))
      }),
    )
}

function columns(nowMs: number): Column<Agent>[] {
  return [
    { title: 'AGENT', cell: ({ id }) => id, shrink: 'end' },
    {
      title: 'STATE',
      cell: ({ connected }) => (connected ? 'connected' : 'silent'),
      style: ({ connected }) => (connected ? 'green' : 'red'),
    },
    {
      title: 'LAST SEEN',
      cell: (agent) => lastSeen(agent, nowMs),
      align: 'right',
    },
    {
      title: 'INTERFACES',
      cell: ({ interfaces }) => interfaces.map(describeInterface).join(' '),
      shrink: 'end',
    },
    {
      title: 'QUEUED',
      cell: ({ queuedRecords }) => formatCount(queuedRecords),
      align: 'right',
      dropOrder: 1,
    },
    {
      title: 'OLDEST',
      cell: ({ oldestAgeMs }) => (oldestAgeMs === 0 ? '' : formatDuration(roundAge(oldestAgeMs))),
      align: 'right',
      dropOrder: 4,
    },
    {
      title: 'SPOOL',
      cell: ({ spoolBytes, spoolMaxBytes }) => formatFill(spoolBytes, spoolMaxBytes),
      align: 'right',
      dropOrder: 3,
      style: ({ spoolErrors, spoolBytes, spoolMaxBytes }) =>
        spoolErrors > 0 ? 'red' : spoolBytes > spoolMaxBytes * NEARLY_FULL ? 'yellow' : undefined,
    },
    {
      title: 'LOST',
      cell: lostOf,
      dropOrder: 1,
      style: () => 'red',
    },
    {
      title: 'LAW BROKEN',
      cell: ({ lawViolations }) => (lawViolations === 0 ? '' : formatCount(lawViolations)),
      align: 'right',
      dropOrder: 0,
      style: () => 'red',
    },
    {
      title: 'SKEW',
      cell: ({ clockSkewMs, clockSteps }) =>
        `${clockSkewMs} ms${clockSteps > 0 ? ` (set ${clockSteps}×)` : ''}`,
      align: 'right',
      dropOrder: 2,
      style: ({ clockSkewMs }) => (Math.abs(clockSkewMs) > SKEW_WRONG_MS ? 'red' : undefined),
    },
    { title: 'MEMORY', cell: ({ rssBytes }) => formatBytes(rssBytes), align: 'right', dropOrder: 4 },
    { title: 'VERSION', cell: ({ version }) => version, dropOrder: 3 },
    { title: 'HOST', cell: ({ hostname }) => hostname, dropOrder: 5 },
    { title: 'KERNEL', cell: ({ kernel }) => kernel, dropOrder: 6 },
  ]
}

/** From here on its records' times are corrected. */
const SKEW_WRONG_MS = 5 * 60_000
const NEARLY_FULL = 0.8

/** Whole seconds when there is at least one. */
function roundAge(ms: number): number {
  return ms < 1000 ? Math.round(ms) : Math.round(ms / 1000) * 1000
}

function formatFill(bytes: number, maxBytes: number): string {
  if (maxBytes === 0) return 'none'
  return `${formatBytes(bytes)} (${Math.round((bytes / maxBytes) * 100)} %)`
}

/** `queue_full 12k, 3 batches`: records that it gave up, and batches that never came. */
function lostOf({ droppedRecords, gapBatches }: Agent): string {
  const lost = Object.entries(droppedRecords).map(([reason, count]) => `${reason} ${formatCount(count)}`)
  if (gapBatches > 0) lost.push(`${formatCount(gapBatches)} batches`)
  return lost.join(', ')
}

/** Agents say something every second. */
const SPEAKS_WITHIN_MS = 2000

function lastSeen({ connected, lastSeenUnixMs }: Agent, nowMs: number): string {
  if (lastSeenUnixMs === 0) return 'never'
  return connected && nowMs - lastSeenUnixMs < SPEAKS_WITHIN_MS ? 'now' : formatAgo(lastSeenUnixMs, nowMs)
}

/** `eth0` where all is as it should be; what differs from native and external is said. */
function describeInterface({ name, boundary, attachMode }: AgentInterface): string {
  const remarks = [
    ...(attachMode === 'native' ? [] : [attachMode]),
    ...(boundary === 'external' ? [] : [boundary]),
  ].filter((remark) => remark !== '')
  return remarks.length === 0 ? name : `${name} (${remarks.join(', ')})`
}
