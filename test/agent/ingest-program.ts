// SPDX-License-Identifier: Apache-2.0
//
// A program of its own, run inside a namespace: the smallest aggregator there can be. It acknowledges batches, adds
// up what it gets, and answers each message of its parent with that report.

import { formatAddress } from '@flowdam/common'
import {
  DELTA_SIZE,
  type DropRule,
  decodeDelta,
  decodeRecord,
  type FlowBatch,
  type HostDelta,
  type HostDeltas,
  IngestServiceService,
  PROTOCOL_VERSION,
  RECORD_SIZE,
  type StreamRequest,
  type StreamResponse,
} from '@flowdam/proto'
import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js'
import type { IngestReport } from './ingest.js'

/** acknowledges: yes, no, or milliseconds later. */
const [port = '50060', networks = '', acknowledges = 'yes'] = process.argv.slice(2)

const report: IngestReport = {
  hellos: [],
  interfaces: [],
  heartbeats: [],
  batches: [],
  duplicates: 0,
  records: { packets: 0, bytes: 0, flows: 0 },
  overflow: { packets: 0, bytes: 0, flows: 0 },
  dropped: { packets: 0, bytes: 0, flows: 0 },
  flows: {},
  ledgers: {},
  incoming: { packets: 0, bytes: 0, flows: 0 },
  outgoing: { packets: 0, bytes: 0, flows: 0 },
  hosts: {},
  deltaMessages: 0,
}
const calls = new Set<ServerDuplexStream<StreamRequest, StreamResponse>>()
const seen = new Set<string>()
const newest = new Map<number, number>()

function takeBatch(batch: FlowBatch): void {
  const name = `${batch.bootId}/${batch.seq}`
  if (seen.has(name)) {
    report.duplicates++
    return
  }
  seen.add(name)
  newest.set(batch.bootId, Math.max(newest.get(batch.bootId) ?? 0, batch.seq))
  report.batches.push(batch.seq)
  for (let at = 0; at < batch.records.length; at += RECORD_SIZE) {
    const record = decodeRecord(batch.records, at)
    const sums = record.marks & 16 ? report.overflow : report.records
    if (record.marks & 2) {
      report.dropped.packets += record.packets
      report.dropped.bytes += record.bytes
      report.dropped.flows++
    }
    sums.packets += record.packets
    sums.bytes += record.bytes
    sums.flows++
    const { srcPort, dstPort, protocol, vlan } = record
    const key = [
      formatAddress(record.srcAddr),
      formatAddress(record.dstAddr),
      srcPort,
      dstPort,
      protocol,
      vlan,
    ].join(' ')
    report.flows[key] ??= { packets: 0, bytes: 0 }
    const flow = report.flows[key]
    flow.packets += record.packets
    flow.bytes += record.bytes
  }
  for (const { iface, ...ledger } of batch.ledgers) {
    report.ledgers[iface] ??= {}
    const sum = report.ledgers[iface]
    for (const [field, value] of Object.entries(ledger)) sum[field] = (sum[field] ?? 0) + value
  }
}

function takeDeltas(deltas: HostDeltas): void {
  report.deltaMessages++
  for (const direction of ['incoming', 'outgoing'] as const) {
    const totals = deltas[direction]
    if (!totals) continue
    for (const what of ['packets', 'bytes', 'flows'] as const) report[direction][what] += totals[what]
  }
  for (let at = 0; at < deltas.entries.length; at += DELTA_SIZE) {
    const delta: HostDelta = decodeDelta(deltas.entries, at)
    const key = `${formatAddress(delta.addr)} ${delta.direction === 0 ? 'in' : 'out'}`
    report.hosts[key] ??= { packets: 0, bytes: 0, flows: 0 }
    const host = report.hosts[key]
    host.packets += delta.packets
    host.bytes += delta.bytes
    host.flows += delta.flows
  }
}

function stream(call: ServerDuplexStream<StreamRequest, StreamResponse>): void {
  calls.add(call)
  call.on('data', ({ message }: StreamRequest) => {
    if (message?.$case === 'hello') {
      report.hellos.push(message.value)
      report.interfaces = message.value.interfaces?.interfaces ?? []
      const welcome = {
        protocolVersion: PROTOCOL_VERSION,
        aggregatorVersion: 'test',
        ackedSeq: newest.get(message.value.bootId) ?? 0,
        config: { networks: networks === '' ? [] : networks.split(','), exemptRemote: [], pace: undefined },
        nowUnixMs: Date.now(),
        confirmsDeltas: false,
        deltasSeq: 0,
      }
      call.write({ message: { $case: 'welcome', value: welcome } })
    } else if (message?.$case === 'flowBatch') {
      takeBatch(message.value)
      const { bootId, seq } = message.value
      const acknowledge = () =>
        call.write({ message: { $case: 'ack', value: { bootId, seq, deltasSeq: 0 } } })
      if (acknowledges === 'yes') acknowledge()
      else if (acknowledges !== 'no') setTimeout(acknowledge, Number(acknowledges))
    } else if (message?.$case === 'hostDeltas') takeDeltas(message.value)
    else if (message?.$case === 'interfaces') report.interfaces = message.value.interfaces
    else if (message?.$case === 'heartbeat') report.heartbeats = [message.value]
  })
  call.on('end', () => call.end())
  call.on('error', () => {})
  call.on('close', () => calls.delete(call))
}

const server = new Server({ 'grpc.max_receive_message_length': 64 << 20 })
server.addService(IngestServiceService, { stream })
server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error) => {
  if (error) throw error
  process.send?.('ready')
})
process.on('message', (question: 'report' | { rules: DropRule[] }) => {
  if (question !== 'report') {
    for (const call of calls) call.write({ message: { $case: 'rules', value: { drop: question.rules } } })
  }
  process.send?.(report)
})
process.on('disconnect', () => process.exit(0))
