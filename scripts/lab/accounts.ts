// SPDX-License-Identifier: Apache-2.0
import type { GetStatusResponse, QueryFlowsRequest } from '@flowdam/proto'
import type { Api } from './api.js'
import type { Sums, TrafficReport } from './traffic.js'
import { waitFor } from './wait.js'

/** Packets, bytes and flows at the three places where they are counted independently. */
export interface Accounts {
  /** By the generator; flows are different keys. */
  sent: Sums
  /** By the kernel; flows are the records that the agent shipped, one for each flow and epoch. */
  ledger: Sums
  /** In the database; flows are rows. */
  stored: Sums
  /** Different keys in the database, counted up to KEYS_LISTED. */
  storedKeys: number
  ok: boolean
}

/** What the API lists at most. */
const KEYS_LISTED = 10_000

const ALL: QueryFlowsRequest = {
  sinceUnixMs: 1,
  untilUnixMs: 0,
  host: '',
  src: '',
  dst: '',
  protocol: 0,
  port: 0,
  agent: '',
  limit: 1,
  aggregate: false,
  orderBy: 'time',
  pageToken: '',
}

export function addUp(reports: readonly TrafficReport[]): Sums {
  return reports.reduce(
    (sum, { packets, bytes, flows }) => ({
      packets: sum.packets + packets,
      bytes: sum.bytes + bytes,
      flows: sum.flows + flows,
    }),
    { packets: 0, bytes: 0, flows: 0 },
  )
}

/** Compares what was sent with what was counted and stored, once everything has had time to arrive. */
export async function takeAccounts(api: Api, sent: Sums): Promise<Accounts> {
  // Whatever comes out, it is compared below: a limit here would only hide by how much it differs.
  await waitFor('all flows to be stored', async () =>
    settled(await api.getStatus(), sent) ? true : undefined,
  ).catch(() => undefined)
  const status = await api.getStatus()
  const query = (request: Partial<QueryFlowsRequest>) =>
    api.call(api.flows.queryFlows.bind(api.flows), { ...ALL, ...request })
  const rows = await query({})
  const { flows: keys } = await query({ aggregate: true, limit: KEYS_LISTED })
  const ledger = {
    packets: status.ledger?.seenPackets ?? 0,
    bytes: status.ledger?.seenBytes ?? 0,
    flows: status.flows['received'] ?? 0,
  }
  const stored = { packets: rows.totalPackets, bytes: rows.totalBytes, flows: rows.totalFlows }
  const ok =
    sent.packets === ledger.packets &&
    sent.bytes === ledger.bytes &&
    sent.packets === stored.packets &&
    sent.bytes === stored.bytes &&
    ledger.flows === stored.flows &&
    keys.length === Math.min(sent.flows, KEYS_LISTED)
  return { sent, ledger, stored, storedKeys: keys.length, ok }
}

function settled(status: GetStatusResponse, sent: Sums): boolean {
  return (
    (status.ledger?.seenPackets ?? 0) >= sent.packets &&
    (status.store?.rowsStored ?? 0) >= (status.flows['received'] ?? 0) &&
    (status.store?.spoolSegments ?? 0) === 0
  )
}
