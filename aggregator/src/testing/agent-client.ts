// SPDX-License-Identifier: Apache-2.0
import {
  Boundary,
  type Config,
  type FlowBatch,
  type Hello,
  IngestServiceClient,
  IngestServiceService,
  PROTOCOL_VERSION,
  RECORD_SIZE,
  StreamRequest,
  type StreamResponse,
  type Welcome,
} from '@flowdam/proto'
import { type ClientDuplexStream, credentials, type ServiceError } from '@grpc/grpc-js'

export interface TestAgentOptions {
  address: string
  agentId: string
  bootId: number
  /** Batches that may wait for their acknowledgement. */
  window?: number
  /** Keeps to the window that the aggregator gives; default true. */
  obeys?: boolean
  /** Connects again when the stream breaks, as agents do: on a busy machine a keepalive's answer may come too late. */
  returns?: boolean
  hello?: Partial<Hello>
}

/**
 * An agent as far as the aggregator can see: one stream, batches kept until they are acknowledged, sent again under
 * the same seq after a reconnect. For tests and benchmarks.
 */
export class TestAgent {
  readonly #options: TestAgentOptions
  #client: IngestServiceClient | undefined
  #call: ClientDuplexStream<StreamRequest, StreamResponse> | undefined
  readonly #unacked = new Map<number, FlowBatch>()
  #unackedBytes = 0
  #window = Number.POSITIVE_INFINITY
  #nextSeq = 1
  #acked = 0
  #waiters: (() => void)[] = []
  #error: ServiceError | undefined
  #config: Config | undefined
  /** Sent instead of the next message. */
  #raw: Uint8Array | undefined

  constructor(options: TestAgentOptions) {
    this.#options = options
  }

  get acked(): number {
    return this.#acked
  }

  /** The status the stream ended with. */
  get error(): ServiceError | undefined {
    return this.#error
  }

  /** Connects, says Hello, sends again what was not acknowledged. Rejects with the stream's status. */
  async connect(): Promise<Welcome> {
    this.disconnect()
    this.#error = undefined
    const { address, agentId, bootId, hello } = this.#options
    this.#client = new IngestServiceClient(address, credentials.createInsecure(), {
      'grpc-node.flow_control_window': 8 << 20,
      'grpc.max_send_message_length': 64 << 20,
    })
    const { path, responseDeserialize } = IngestServiceService.stream
    const serialize = (request: StreamRequest) => {
      const raw = this.#raw
      this.#raw = undefined
      return Buffer.from(raw ?? StreamRequest.encode(request).finish())
    }
    const call = this.#client.makeBidiStreamRequest(path, serialize, responseDeserialize)
    this.#call = call
    const welcome = await new Promise<Welcome>((resolve, reject) => {
      call.on('data', ({ message }: StreamResponse) => {
        if (message?.$case === 'welcome') resolve(message.value)
        if (message?.$case === 'window') this.#window = message.value.bytes
        if (message?.$case === 'config') {
          this.#config = message.value
          this.#wake()
        }
        if (message?.$case === 'ack' && message.value.bootId === bootId) this.#acknowledge(message.value.seq)
      })
      call.on('error', (error: ServiceError) => {
        this.#error = error
        reject(error)
        this.#wake()
      })
      call.on('end', () => this.#wake())
      call.on('drain', () => this.#wake())
      call.write({
        message: {
          $case: 'hello',
          value: {
            protocolVersion: PROTOCOL_VERSION,
            agentId,
            bootId,
            version: 'test',
            hostname: 'test',
            kernel: 'test',
            recordSize: RECORD_SIZE,
            interfaces: {
              interfaces: [
                {
                  index: 0,
                  name: 'eth0',
                  ifindex: 2,
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
            ...hello,
          },
        },
      })
    })
    // The window comes right behind Welcome.
    await new Promise((resolve) => setImmediate(resolve))
    this.#acknowledge(welcome.ackedSeq)
    for (const batch of this.#unacked.values()) this.write({ message: { $case: 'flowBatch', value: batch } })
    return welcome
  }

  /** Goes on with this seq, as if what is before it was lost, or sends it again. */
  skipTo(seq: number): void {
    this.#nextSeq = seq
  }

  /** The next Config that comes. */
  async nextConfig(): Promise<Config> {
    while (!this.#config) await this.#changed()
    const config = this.#config
    this.#config = undefined
    return config
  }

  /** Anything, as it is. */
  write(request: StreamRequest): boolean {
    return this.#call?.write(request) ?? false
  }

  /** A message that is no StreamRequest, or not a whole one. */
  writeBytes(bytes: Uint8Array): void {
    this.#raw = bytes
    this.write({ message: undefined })
  }

  /** The next batch; waits while the window is full. Does nothing but keep it when the stream is broken. */
  async send(
    records: Uint8Array,
    epochStartUnixMs: number,
    fields: Partial<FlowBatch> = {},
  ): Promise<number> {
    const window = this.#options.window ?? 64
    for (;;) {
      if (this.#error && this.#options.returns) await this.connect()
      if (this.#error || (this.#unacked.size < window && !this.#isWindowFull(records.length))) break
      await this.#changed()
    }
    const batch: FlowBatch = {
      bootId: this.#options.bootId,
      seq: this.#nextSeq++,
      epochStartUnixMs,
      epochMs: 5000,
      records: Buffer.from(records.buffer, records.byteOffset, records.length),
      ledgers: [],
      lost: undefined,
      ...fields,
    }
    this.#unacked.set(batch.seq, batch)
    this.#unackedBytes += batch.records.length
    if (!this.#error && !this.write({ message: { $case: 'flowBatch', value: batch } })) await this.#changed()
    return batch.seq
  }

  /** Until everything sent is acknowledged. Rejects when the stream breaks first. */
  async drained(): Promise<void> {
    while (this.#unacked.size > 0) {
      if (this.#error && this.#options.returns) await this.connect()
      else if (this.#error) throw this.#error
      else await this.#changed()
    }
  }

  /** Until the stream has ended. */
  async ended(): Promise<ServiceError | undefined> {
    while (!this.#error) await this.#changed()
    return this.#error
  }

  /** The same agent, with all it holds, for an aggregator that is elsewhere now. */
  moved(address: string): TestAgent {
    this.disconnect()
    const agent = new TestAgent({ ...this.#options, address })
    for (const [seq, batch] of this.#unacked) agent.#unacked.set(seq, batch)
    agent.#unackedBytes = this.#unackedBytes
    agent.#nextSeq = this.#nextSeq
    agent.#acked = this.#acked
    return agent
  }

  disconnect(): void {
    this.#call?.removeAllListeners()
    this.#call?.on('error', () => undefined)
    this.#call?.cancel()
    this.#client?.close()
    this.#call = undefined
    this.#client = undefined
  }

  #acknowledge(seq: number): void {
    this.#acked = Math.max(this.#acked, seq)
    for (const [known, { records }] of this.#unacked) {
      if (known > seq) break
      this.#unacked.delete(known)
      this.#unackedBytes -= records.length
    }
    this.#wake()
  }

  #isWindowFull(bytes: number): boolean {
    const obeys = this.#options.obeys ?? true
    return obeys && this.#unacked.size > 0 && this.#unackedBytes + bytes > this.#window
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve))
  }

  #wake(): void {
    for (const wake of this.#waiters.splice(0)) wake()
  }
}
