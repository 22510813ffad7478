// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises'
import { parseAddress } from '@flowdam/common'
import {
  Boundary,
  DELTA_SIZE,
  DeltaClass,
  encodeDelta,
  type HostDelta,
  type HostDeltas,
  IngestServiceClient,
  PROTOCOL_VERSION,
  RECORD_SIZE,
  type StreamRequest,
  type StreamResponse,
} from '@flowdam/proto'
import { type ClientDuplexStream, credentials } from '@grpc/grpc-js'

/** One entry from what matters to a test. */
export function delta(
  address: string,
  packets: number,
  bytes: number,
  more: Partial<HostDelta> = {},
): HostDelta {
  return {
    addr: parseAddress(address),
    direction: 0,
    class: DeltaClass.udp,
    marks: 0,
    vector: 0,
    flows: 1,
    packets,
    bytes,
    ...more,
  }
}

export function hostDeltas(
  seq: number,
  coversMs: number,
  entries: readonly HostDelta[],
  nowUnixMs = Date.now(),
): HostDeltas {
  const buffer = Buffer.alloc(entries.length * DELTA_SIZE)
  for (const [index, entry] of entries.entries()) encodeDelta(entry, buffer, index * DELTA_SIZE)
  const sum = (direction: number) => ({
    packets: entries.reduce((n, entry) => n + (entry.direction === direction ? entry.packets : 0), 0),
    bytes: entries.reduce((n, entry) => n + (entry.direction === direction ? entry.bytes : 0), 0),
    flows: entries.reduce((n, entry) => n + (entry.direction === direction ? entry.flows : 0), 0),
  })
  return { seq, coversUs: coversMs * 1000, nowUnixMs, entries: buffer, incoming: sum(0), outgoing: sum(1) }
}

/** An agent that says Hello and then sends host deltas: all that detection needs. */
export class DeltaAgent {
  readonly #address: string
  readonly #agentId: string
  #client: IngestServiceClient | undefined
  #call: ClientDuplexStream<StreamRequest, StreamResponse> | undefined
  #seq = 0
  #broken = false

  constructor(address: string, agentId = 'edge1') {
    this.#address = address
    this.#agentId = agentId
  }

  /** Resolves at Welcome. */
  async connect(): Promise<void> {
    this.#client = new IngestServiceClient(this.#address, credentials.createInsecure())
    const call = this.#client.stream()
    this.#call = call
    this.#broken = false
    const welcome = new Promise<void>((resolve, reject) => {
      call.on('data', ({ message }: StreamResponse) => {
        if (message?.$case === 'welcome') resolve()
      })
      call.on('error', (error) => {
        this.#broken = true
        reject(error)
      })
    })
    call.write({
      message: {
        $case: 'hello',
        value: {
          protocolVersion: PROTOCOL_VERSION,
          agentId: this.#agentId,
          bootId: Date.now(),
          version: 'test',
          hostname: 'test',
          kernel: 'test',
          recordSize: RECORD_SIZE,
          interfaces: {
            interfaces: [
              {
                index: 0,
                name: 'eth0',
                ifindex: 1,
                boundary: Boundary.BOUNDARY_EXTERNAL,
                attachMode: 'native',
                speedBps: 0,
              },
            ],
          },
          nowUnixMs: Date.now(),
          oldestSeq: 0,
          ackedSeq: 0,
          runId: 0,
        },
      },
    })
    await welcome
  }

  send(coversMs: number, entries: readonly HostDelta[]): void {
    this.#call?.write({
      message: { $case: 'hostDeltas', value: hostDeltas(++this.#seq, coversMs, entries) },
    })
  }

  /**
   * The same entries again and again, as real traffic would come, until `enough`. Connects again when the stream breaks, as
   * agents do: on a busy machine a keepalive's answer may come too late.
   */
  async flood(
    intervalMs: number,
    entries: readonly HostDelta[],
    enough: () => boolean | Promise<boolean>,
  ): Promise<void> {
    while (!(await enough())) {
      if (this.#broken) {
        this.close()
        await this.connect()
      }
      this.send(intervalMs, entries)
      await sleep(intervalMs)
    }
  }

  close(): void {
    this.#call?.removeAllListeners('error')
    this.#call?.on('error', () => {})
    this.#call?.cancel()
    this.#client?.close()
  }
}
