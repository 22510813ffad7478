// SPDX-License-Identifier: Apache-2.0
import type { BatchOrigin, BatchSink } from '@flowdam/aggregator/internal/contracts'
import { LiveFlows } from '@flowdam/aggregator/internal/flows/live/live-flows'
import { makeRecords } from '@flowdam/aggregator/internal/testing/records'
import { type FlowBatch, MAX_BATCH_RECORDS, RECORD_SIZE } from '@flowdam/proto'
import { type Bench, median } from './result.js'

const BATCHES = 60
const GOAL = 1.1
/** CPU of the aggregator for each flow record, from the stream to the spool's file (e2e.flows): 0.24 s a million. */
const INGEST_NS = 240

const ALL = { host: '', src: '', dst: '', protocol: 0, port: 0, agent: '' }
const origin: BatchOrigin = {
  id: 'edge1',
  sourceOfIface: new Uint16Array(256).fill(1),
  learnIface: () => {},
  clockSkewMs: 0,
}
const sink: BatchSink = {
  append: () => Promise.resolve('stored'),
  lastSeq: () => 0,
  queueBytes: 1,
  hasRoom: () => true,
  room: () => Promise.resolve(),
}

/** What people who watch flows (`flowdam flows --follow`) cost ingest for each record that passes. */
export const flowWatch: Bench = async ({ log }) => {
  // Askew, as a protobuf decoder gives them.
  const records = Buffer.alloc(MAX_BATCH_RECORDS * RECORD_SIZE + 1).subarray(1)
  records.set(makeRecords(MAX_BATCH_RECORDS, 1).records)
  const cost = (watchers: number, filter: Partial<typeof ALL>): number[] => {
    const live = new LiveFlows(sink, { get: () => undefined })
    // None takes a thing: what they take is bounded by time, not by records.
    for (let i = 0; i < watchers; i++) live.watch({ ...ALL, ...filter }, `${i}`, () => new Promise(() => {}))
    return Array.from({ length: BATCHES }, (_, seq) => {
      const batch = { bootId: 1, seq: seq + 1, epochStartUnixMs: Date.now(), epochMs: 5000, records }
      const began = performance.now()
      void live.append(origin, batch as unknown as FlowBatch)
      return ((performance.now() - began) * 1e6) / MAX_BATCH_RECORDS
    }).slice(BATCHES / 3)
  }
  const none = median(cost(0, {}))
  const host = cost(1, { host: '203.0.113.9' })
  const all = median(cost(1, {}))
  const sixteen = median(cost(16, { host: '203.0.113.9' }))
  const told = [none, median(host), all, sixteen].map((ns) => `${ns.toFixed(2)} ns`)
  log(
    `flow.watch: a record costs ${told[0]} with no watcher, ${told[1]} with one of a host, ${told[2]} with one of all, ${told[3]} with 16 of a host`,
  )
  const ratio = (INGEST_NS + median(host)) / INGEST_NS
  return [
    {
      id: 'flow.watch',
      value: median(host),
      unit: 'ns',
      reference: { what: 'what ingest costs a record, ns', value: INGEST_NS },
      ratio,
      goal: `ratio <= ${GOAL} of ingest with nobody watching`,
      met: ratio <= GOAL,
      runs: host,
    },
  ]
}
