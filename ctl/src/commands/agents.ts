// SPDX-License-Identifier: Apache-2.0
import { formatBytes } from '@flowdam/common'
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
      title: 'LAW BROKEN',
      cell: ({ lawViolations }) => (lawViolations === 0 ? '' : formatCount(lawViolations)),
      align: 'right',
      dropOrder: 0,
      style: () => 'red',
    },
    { title: 'SKEW', cell: ({ clockSkewMs }) => `${clockSkewMs} ms`, align: 'right', dropOrder: 2 },
    { title: 'MEMORY', cell: ({ rssBytes }) => formatBytes(rssBytes), align: 'right', dropOrder: 4 },
    { title: 'VERSION', cell: ({ version }) => version, dropOrder: 3 },
    { title: 'HOST', cell: ({ hostname }) => hostname, dropOrder: 5 },
    { title: 'KERNEL', cell: ({ kernel }) => kernel, dropOrder: 6 },
  ]
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
