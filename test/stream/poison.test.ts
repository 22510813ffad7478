// SPDX-License-Identifier: Apache-2.0
//
// Messages that no aggregator can take: damaged in the agent's memory, on its disk, on the way, or refused by an
// aggregator that is stricter than the agent. Each is set aside and counted, and nothing waits behind it. The agent's
// queue, spool and stream, the aggregator's ingest and spool are real.
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { DiskSpool } from '@flowdam/agent/internal/stream/spool/disk-spool'
import { newFlowCounters } from '@flowdam/aggregator/internal/contracts'
import { DropCounter } from '@flowdam/aggregator/internal/drops'
import { SPOOL_DEFAULTS } from '@flowdam/aggregator/internal/spool/options'
import { Spool } from '@flowdam/aggregator/internal/spool/spool'
import {
  type FlowBatch,
  type Ledger,
  MAX_COUNT,
  RECORD_SIZE,
  RecordOffset,
  type RecordSums,
  StreamRequest,
  sumRecords,
} from '@flowdam/proto'
import { waitFor } from '@flowdam/scripts/lab/wait'
import { log, Receiver, Sender } from './stand.js'

const RECORDS = 20
const LEDGER: Ledger = {
  iface: 0,
  seenPackets: 1,
  seenBytes: 100,
  flowPackets: 1,
  flowBytes: 100,
  overflowPackets: 0,
  overflowBytes: 0,
  notIpPackets: 0,
  notIpBytes: 0,
  malformedPackets: 0,
  malformedBytes: 0,
  droppedPackets: 0,
  droppedBytes: 0,
}

/** Records whose sums tell them from those of other batches. */
function recordsOf(number: number): Buffer {
  const records = Buffer.alloc(RECORDS * RECORD_SIZE)
  for (let at = 0; at < records.length; at += RECORD_SIZE) {
    records.writeUInt32LE(number, at + RecordOffset.packets)
    records.writeUInt32LE(number * 1000, at + RecordOffset.bytes)
  }
  return records
}

const noSums = (): RecordSums => ({ records: 0, packets: 0, bytes: 0 })
function add(sums: RecordSums, { records, packets, bytes }: RecordSums): void {
  sums.records += records
  sums.packets += packets
  sums.bytes += bytes
}

describe('a message that no aggregator can take', { timeout: 800_000 }, () => {
  let folder: string
  let spool: Spool
  let stored: RecordSums
  let receiver: Receiver
  let agent: Sender
  const sent = { sums: noSums(), batches: 0 }

  /** Returns what the aggregator is to read. */
  let damage: (request: StreamRequest, bytes: Buffer) => Buffer
  const encode = (request: StreamRequest) => Buffer.from(StreamRequest.encode(request).finish())

  const newAgent = (bootId: number) => {
    agent = new Sender({ targets: [receiver.address], bootId, spool: join(folder, 'agent') })
  }
  const push = (fields: Partial<FlowBatch> = {}): FlowBatch => {
    const records = recordsOf(++sent.batches)
    add(sent.sums, sumRecords(records))
    return agent.pushBatch({ records, ledgers: [LEDGER], ...fields })
  }
  const gone = () => waitFor('all to be acknowledged', () => agent.queue.batches === 0)
  const letters = () =>
    readFileSync(join(folder, 'agent.refused.jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  /** sent = stored + given up, to the packet, and given up for this reason alone. */
  const balance = (reason: string, lost: RecordSums) => {
    assert.deepEqual(spool.losses.get('agent', reason), lost)
    const sums = { ...stored }
    add(sums, lost)
    assert.deepEqual(sums, sent.sums)
  }

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'flowdam-poison-'))
    Object.assign(sent, { sums: noSums(), batches: 0 })
    stored = noSums()
    damage = (_, bytes) => bytes
    spool = new Spool({
      ...SPOOL_DEFAULTS,
      directory: join(folder, 'aggregator'),
      drops: new DropCounter(),
      flows: newFlowCounters(),
      log,
      maxAgeMs: 1e9,
    })
    await spool.start()
    receiver = new Receiver({
      batches: {
        append: async (origin, batch) => {
          const sums = sumRecords(batch.records)
          const result = await spool.append(origin, batch)
          if (result === 'stored') add(stored, sums)
          return result
        },
        lastSeq: (id, boot) => spool.lastSeq(id, boot),
        queueBytes: spool.queueBytes,
        hasRoom: (bytes) => spool.hasRoom(bytes),
        room: () => spool.room(),
      },
      damage: (bytes) => damage(StreamRequest.decode(bytes), bytes),
    })
    await receiver.start()
    newAgent(5)
  })
  afterEach(async () => {
    await agent.stop()
    await receiver.stop()
    await spool.stop()
    rmSync(folder, { recursive: true })
  })

  for (const { title, spoil } of [
    {
      title: 'a ledger with more than an epoch can hold',
      spoil: () => push({ ledgers: [{ ...LEDGER, seenBytes: 2 ** 60 }] }),
    },
    {
      title: 'a ledger of nonsense',
      spoil: () => push({ ledgers: [{ ...LEDGER, seenPackets: Number.NaN }] }),
    },
    { title: 'a number that changed while it waited', spoil: () => Object.assign(push(), { seq: 2 ** 40 }) },
    { title: 'a boot that changed while it waited', spoil: () => Object.assign(push(), { bootId: 0 }) },
    { title: 'a time that is none', spoil: () => Object.assign(push(), { epochStartUnixMs: -1 }) },
  ]) {
    it(`in memory, ${title}: set aside before it is sent`, async () => {
      for (let i = 0; i < 3; i++) push()
      const lost = sumRecords(spoil().records)
      for (let i = 0; i < 3; i++) push()
      agent.start()
      await gone()
      balance('refused', lost)
      assert.deepEqual([agent.queue.setAside, agent.queue.dropped.refused], [1, RECORDS])
      assert.equal(agent.uplink.stats.disconnects, 0)
      const [letter, ...others] = letters()
      assert.deepEqual(
        [letter?.['what'], letter?.['by'], letter?.['seq'], letter?.['packets'], others.length],
        ['batch', 'this agent', 4, lost.packets, 0],
      )
    })
  }

  it('in memory, on its way to the disk: what the disk holds is sent by the next agent', async () => {
    const [, spoilt] = [push(), push(), push()]
    const lost = sumRecords((spoilt as FlowBatch).records)
    Object.assign(spoilt as FlowBatch, { ledgers: [{ ...LEDGER, flowBytes: -5 }] })
    agent.queue.start()
    await agent.stop()
    assert.equal(agent.queue.unsaved, 0)
    newAgent(6)
    agent.start()
    await gone()
    balance('refused', lost)
  })

  it('on the disk, one that an agent before this one wrote malformed', async () => {
    // As a version without the check had written it: whole, with its CRC.
    const batches = [push(), push(), push({ ledgers: [{ ...LEDGER, seenBytes: 2 ** 52 }] }), push()]
    const older = new DiskSpool({ folder: join(folder, 'agent'), maxBytes: 1e9 })
    older.start()
    await older.write(batches)
    await older.stop()
    newAgent(6)
    agent.start()
    await gone()
    balance('refused', sumRecords((batches[2] as FlowBatch).records))
    assert.equal(letters()[0]?.['seq'], 3)
  })

  it('on the disk, one whose frame was changed', async () => {
    const batches = [push(), push(), push()]
    agent.queue.start()
    await agent.stop()
    const [name = ''] = readdirSync(join(folder, 'agent')).filter((one) => one.endsWith('.seg'))
    const path = join(folder, 'agent', name)
    const bytes = readFileSync(path)
    // In the head of the second.
    const at = Math.floor(bytes.length / 3) + 30
    bytes[at] = (bytes[at] as number) ^ 0x55
    writeFileSync(path, bytes)
    newAgent(6)
    agent.start()
    await gone()
    balance('spool_damaged', sumRecords((batches[1] as FlowBatch).records))
    assert.deepEqual([letters()[0]?.['what'], letters()[0]?.['seq']], ['spool', 2])
    assert.equal(receiver.drops.get('ingest', 'gap'), 0)
  })

  for (const [title, spoil, reason] of [
    [
      'refused by an aggregator that is stricter',
      (batch: FlowBatch) =>
        encode({
          message: { $case: 'flowBatch', value: { ...batch, ledgers: [{ ...LEDGER, iface: 999 }] } },
        }),
      'bad_batch',
    ],
    ['that protobuf cannot read', (_: FlowBatch, bytes: Buffer) => bytes.subarray(0, -9), 'bad_message'],
  ] as const) {
    it(`${title}: named, set aside, and the stream goes on at once`, async () => {
      const poison = new Set([3, 5])
      damage = (request, bytes) => {
        const { message } = request
        const hit = message?.$case === 'flowBatch' && poison.has(message.value.seq)
        // Its evidence is what nobody can take; what is left of it is no harm.
        return hit && message.value.records.length > 0 ? spoil(message.value, bytes) : bytes
      }
      const lost = noSums()
      for (let i = 0; i < 8; i++) {
        const { seq, records } = push()
        if (poison.has(seq)) add(lost, sumRecords(records))
      }
      agent.start()
      await gone()
      balance('refused', lost)
      assert.deepEqual([agent.queue.setAside, receiver.drops.get('ingest', reason)], [2, 2])
      assert.deepEqual(
        letters().map(({ seq, by }) => [seq, by]),
        [...poison].map((seq) => [seq, receiver.address]),
      )
    })
  }

  it('refused when it is on the disk only', async () => {
    damage = (request, bytes) => {
      const { message } = request
      const hit =
        message?.$case === 'flowBatch' && message.value.seq === 2 && message.value.records.length > 0
      return hit ? bytes.subarray(0, -9) : bytes
    }
    const [, spoilt] = [push(), push(), push()]
    agent.queue.start()
    await agent.stop()
    newAgent(6)
    agent.start()
    await gone()
    balance('refused', sumRecords((spoilt as FlowBatch).records))
    await waitFor('its segment to go', () => agent.queue.spoolBytes === 0)
  })

  it('an aggregator that refuses even what is left of a batch gets no more of them: the evidence is kept', async () => {
    damage = (request, bytes) => (request.message?.$case === 'flowBatch' ? bytes.subarray(0, -9) : bytes)
    for (let i = 0; i < 10; i++) push()
    agent.start()
    await waitFor('it to be asked again and again', () => agent.uplink.stats.disconnects >= 4)
    assert.deepEqual([agent.queue.setAside, agent.queue.batches], [1, 10])
    damage = (_, bytes) => bytes
    await gone()
    balance('refused', sumRecords(recordsOf(1)))
  })

  it('an aggregator that refuses batch after batch is not believed for long: the evidence is kept', async () => {
    damage = (request, bytes) => {
      const { message } = request
      return message?.$case === 'flowBatch' && message.value.records.length > 0
        ? bytes.subarray(0, -9)
        : bytes
    }
    for (let i = 0; i < 40; i++) push()
    agent.start()
    await waitFor('it to be enough', () => receiver.drops.get('ingest', 'bad_message') >= 18)
    assert.deepEqual([agent.queue.setAside, agent.queue.records], [16, 24 * RECORDS])
    damage = (_, bytes) => bytes
    await gone()
    assert.equal(stored.records, 24 * RECORDS)
    balance('refused', spool.losses.get('agent', 'refused'))
  })

  it('host deltas: set aside, and detection goes on', async () => {
    damage = (request, bytes) => {
      const { message } = request
      return message?.$case === 'hostDeltas' && message.value.seq === 3 ? bytes.subarray(0, -1) : bytes
    }
    agent.start()
    await waitFor('a stream', () => agent.uplink.connected)
    const first = receiver.sink.deltas.at(-1)?.seq ?? 0
    assert.ok(first < 3)
    for (let i = 0; i < 6; i++) {
      agent.deltas.add(10)
      agent.uplink.sendDeltas()
    }
    // More than a message may count: it adds up while there is no stream.
    await waitFor('the stream to end', () => agent.uplink.stats.disconnects === 1)
    agent.deltas.add(2 * MAX_COUNT)
    await waitFor('a stream again', () => agent.uplink.connected)
    agent.uplink.sendDeltas()
    const most = () => receiver.sink.deltas.some(({ incoming }) => incoming?.packets === MAX_COUNT)
    await waitFor('what was said since', most)
    assert.deepEqual(
      receiver.sink.deltas.map(({ seq }) => seq).filter((seq) => seq >= 2 && seq <= 7),
      [2, 4, 5, 6, 7],
    )
    assert.deepEqual(
      [agent.uplink.stats.setAsideDeltas, receiver.drops.snapshot()],
      [1, [{ stage: 'ingest', reason: 'bad_message', count: 1 }]],
    )
    await waitFor('the file', () => letters()[0]?.['what'] === 'deltas')
  })
})
