// SPDX-License-Identifier: Apache-2.0
import type { GetStatusResponse, QueryFlowsRequest } from '@flowdam/proto'
import type { Api } from './api.js'
import type { Sums, TrafficReport } from './traffic.js'
import { waitFor } from './wait.js'

/** Packets, bytes and flows at the three places where they are counted independently. */
export interface Accounts {
  /** By the generator; flows are different keys. */
  sent: Sums
  /** Packets of them that the test network's veth dropped, before our edge (Linux before 6.16). */
  lost: number
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

/** `device_dropped` is how many of the packets were lost on the way. */
export type Sent = Sums & Pick<TrafficReport, 'device_dropped'>

export function addUp(reports: readonly TrafficReport[]): Sent {
  return reports.reduce<Sent>(
    (sum, { packets, bytes, flows, device_dropped }) => ({
      packets: sum.packets + packets,
      bytes: sum.bytes + bytes,
      flows: sum.flows + flows,
      device_dropped: sum.device_dropped + device_dropped,
    }),
    { packets: 0, bytes: 0, flows: 0, device_dropped: 0 },
  )
}

/** Compares what was sent with what was counted and stored, once everything has had time to arrive. */
export async function takeAccounts(api: Api, { device_dropped: lost, ...sent }: Sent): Promise<Accounts> {
  const arrived = sent.packets - lost
  // Whatever comes out, it is compared below: a limit here would only hide by how much it differs.
  await waitFor('all flows to be stored', async () =>
    settled(await api.getStatus(), arrived) ? true : undefined,
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
  // Of which flows, and so how many bytes, the lost packets were, nobody knows.
  const asSent =
    lost > 0
      ? ledger.bytes < sent.bytes
      : ledger.bytes === sent.bytes && keys.length === Math.min(sent.flows, KEYS_LISTED)
  const ok =
    asSent &&
    arrived === ledger.packets &&
    ledger.packets === stored.packets &&
    ledger.bytes === stored.bytes &&
    ledger.flows === stored.flows
  return { sent, lost, ledger, stored, storedKeys: keys.length, ok }
}

function settled(status: GetStatusResponse, packets: number): boolean {
  return (
    (status.ledger?.seenPackets ?? 0) >= packets &&
    (status.store?.rowsStored ?? 0) >= (status.flows['received'] ?? 0) &&
    (status.store?.spoolSegments ?? 0) === 0
  )
}
