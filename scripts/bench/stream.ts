// SPDX-License-Identifier: Apache-2.0
import { RECORD_SIZE } from '@flowdam/proto'
import { type Receiving, runTcpSender, runUplink, startSink, startTcpReceiver } from './processes.js'
import { type Bench, type BenchResult, median } from './result.js'

const RUNS = 5
const RECORDS = 4_000_000

/** What sending once cost; CPU seconds per million records, of process.cpuUsage() of each process. */
export interface StreamRun {
  recordsPerSecond: number
  megabytesPerSecond: number
  senderCpu: number
  receiverCpu: number
}

/** `records` from the agent's queue and uplink to a receiver, each in a process of its own. */
export async function runStream(address: string, receiver: Receiving, records: number): Promise<StreamRun> {
  const before = await receiver.cpuSeconds()
  const report = await runUplink({ address, records })
  const receiverCpuSeconds = (await receiver.cpuSeconds()) - before
  return streamRun(report, receiverCpuSeconds)
}

function streamRun(
  sent: { records: number; seconds: number; cpuSeconds: number },
  receiverCpuSeconds: number,
): StreamRun {
  const millions = sent.records / 1e6
  return {
    recordsPerSecond: sent.records / sent.seconds,
    megabytesPerSecond: (millions * RECORD_SIZE) / sent.seconds,
    senderCpu: sent.cpuSeconds / millions,
    receiverCpu: receiverCpuSeconds / millions,
  }
}

export function showRun(id: string, run: StreamRun): string {
  const rate = `${(run.recordsPerSecond / 1e6).toFixed(2)} M records/s, ${run.megabytesPerSecond.toFixed(0)} MB/s`
  return `${id}: ${rate}; CPU s per million records: sender ${run.senderCpu.toFixed(3)}, receiver ${run.receiverCpu.toFixed(3)}`
}

/** Flow records over gRPC from one process to another on loopback, acknowledged, nothing behind it. */
export const streamLoopback: Bench = async ({ log }) => {
  const sink = await startSink()
  const tcp = await startTcpReceiver()
  const streams: StreamRun[] = []
  const plain: StreamRun[] = []
  try {
    // In turns, so that both see the same machine.
    for (let run = 0; run < RUNS; run++) {
      streams.push(await runStream(sink.address, sink, RECORDS))
      log(showRun('stream.loopback', streams.at(-1) as StreamRun))
      plain.push(await runTcp(tcp))
      log(showRun('the same bytes over TCP', plain.at(-1) as StreamRun))
    }
  } finally {
    sink.stop()
    tcp.stop()
  }
  const result = (
    id: string,
    unit: string,
    what: string,
    pick: (run: StreamRun) => number,
    goal: { text: string; met: (ratio: number, value: number) => boolean },
  ): BenchResult => {
    const value = median(streams.map(pick))
    const reference = median(plain.map(pick))
    const ratio = value / reference
    return {
      id,
      value,
      unit,
      reference: { what: `the same bytes over bare TCP, ${what}`, value: reference },
      ratio,
      goal: goal.text,
      met: goal.met(ratio, value),
      runs: streams.map(pick),
    }
  }
  const cpuGoal = { text: '<= 0.5 s', met: (_ratio: number, value: number) => value <= 0.5 }
  const cpuUnit = 'CPU s/M records'
  return [
    result('stream.loopback', 'records/s', 'records/s', ({ recordsPerSecond }) => recordsPerSecond, {
      text: '>= 2 M records/s',
      met: (_ratio, value) => value >= 2e6,
    }),
    result('stream.cpu.sender', cpuUnit, 'CPU s', ({ senderCpu }) => senderCpu, cpuGoal),
    result('stream.cpu.aggregator', cpuUnit, 'CPU s', ({ receiverCpu }) => receiverCpu, cpuGoal),
  ]
}

async function runTcp(receiver: Receiving): Promise<StreamRun> {
  const before = await receiver.cpuSeconds()
  const sent = await runTcpSender(Number(receiver.address), RECORDS * RECORD_SIZE)
  const receiverCpuSeconds = (await receiver.cpuSeconds()) - before
  return streamRun({ records: RECORDS, ...sent }, receiverCpuSeconds)
}
