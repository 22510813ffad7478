// SPDX-License-Identifier: Apache-2.0
import type { Ban, GetStatusResponse, HostRates } from '@flowdam/proto'
import type { Api } from '../lab/api.js'
import type { Route } from '../lab/gobgp.js'

/** What the picture shows at one moment. */
export interface Snapshot {
  status: GetStatusResponse
  hosts: readonly HostRates[]
  /** Active ones, oldest first. */
  bans: readonly Ban[]
  /** "native", "generic" or "absent", of the first interface. */
  attachMode: string
}

const HOSTS = 6

export async function takeSnapshot(api: Api): Promise<Snapshot> {
  const [status, { hosts }, { bans }, { agents }] = await Promise.all([
    api.getStatus(),
    api.call(api.hosts.topHosts.bind(api.hosts), { by: 'pps', limit: HOSTS, direction: 1 }),
    api.listBans(false),
    api.listAgents(),
  ])
  const attachMode = agents[0]?.interfaces[0]?.attachMode ?? 'absent'
  return { status, hosts, bans: [...bans].reverse(), attachMode }
}

/** The router's blackhole routes by prefix, kept up to date by `Speaker.watch`. */
export type Routes = ReadonlyMap<string, Route>
