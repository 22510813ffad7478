// SPDX-License-Identifier: Apache-2.0
import {
  AttackServiceClient,
  BanServiceClient,
  FlowServiceClient,
  HostServiceClient,
  StatusServiceClient,
} from '@flowdam/proto'
import {
  type CallOptions,
  type ClientUnaryCall,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js'

type UnaryMethod<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall

/** For a hang only. */
const DEADLINE_MS = 60_000

/** The aggregator's public API, as an integrator would use it: generated clients, nothing else. */
export class Api {
  readonly status: StatusServiceClient
  readonly hosts: HostServiceClient
  readonly bans: BanServiceClient
  readonly attacks: AttackServiceClient
  readonly flows: FlowServiceClient

  /** HOST:PORT, or unix:FILE. */
  constructor(target: string) {
    const plain = credentials.createInsecure()
    this.status = new StatusServiceClient(target, plain, { 'grpc.enable_http_proxy': 0 })
    const shared = { channelOverride: this.status.getChannel() }
    this.hosts = new HostServiceClient(target, plain, shared)
    this.attacks = new AttackServiceClient(target, plain, shared)
    this.bans = new BanServiceClient(target, plain, shared)
    this.flows = new FlowServiceClient(target, plain, shared)
  }

  /** One call; `method` is bound to its service. */
  call<Request, Response>(method: UnaryMethod<Request, Response>, request: Request): Promise<Response> {
    return new Promise((resolve, reject) => {
      method(request, new Metadata(), { deadline: Date.now() + DEADLINE_MS }, (error, response) => {
        if (error) reject(error)
        else resolve(response)
      })
    })
  }

  getStatus() {
    return this.call(this.status.getStatus.bind(this.status), {})
  }

  listAgents() {
    return this.call(this.status.listAgents.bind(this.status), {})
  }

  listBans(includeEnded: boolean) {
    return this.call(this.bans.listBans.bind(this.bans), { includeEnded, limit: 100, pageToken: '' })
  }

  listAttacks(includeEnded: boolean) {
    return this.call(this.attacks.listAttacks.bind(this.attacks), {
      includeEnded,
      limit: 1000,
      pageToken: '',
    })
  }

  getAttack(id: string) {
    return this.call(this.attacks.getAttack.bind(this.attacks), { id })
  }

  close(): void {
    this.status.close()
  }
}
