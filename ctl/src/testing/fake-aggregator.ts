// SPDX-License-Identifier: Apache-2.0
import {
  type AddBanRequest,
  type AttackServiceServer,
  AttackServiceService,
  type AuditServiceServer,
  AuditServiceService,
  type Ban,
  type BanServiceServer,
  BanServiceService,
  type BaselineServiceServer,
  BaselineServiceService,
  type ConfigServiceServer,
  ConfigServiceService,
  type FlowServiceServer,
  FlowServiceService,
  type GetHostRequest,
  type HostServiceServer,
  HostServiceService,
  type ListAuditRequest,
  type ListBansRequest,
  type PauseBansRequest,
  type QueryFlowsRequest,
  type RemoveBanRequest,
  type ResumeBansRequest,
  type StatusServiceServer,
  StatusServiceService,
  type TopHostsRequest,
  type TopTalkersRequest,
  type ValidateConfigRequest,
  type WatchAttacksResponse,
  type WatchBansResponse,
  type WatchFlowsRequest,
  type WatchFlowsResponse,
  type WatchHostRequest,
  type WatchHostResponse,
  type WatchTopHostsRequest,
  type WatchTopHostsResponse,
} from '@flowdam/proto'
import {
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js'
import * as answers from './answers.js'

interface Failure {
  code: status
  details: string
}

/** An aggregator with canned answers, that remembers what it was asked. */
export class FakeAggregator {
  /** Every request, by method name, in order. */
  readonly asked: { method: string; request: object }[] = []
  /** The authorization of every call, in order; undefined for none. */
  readonly tokens: (string | undefined)[] = []
  /** Set to have every unary call fail. */
  failure: Failure | undefined
  /** Set to have calls never be answered. */
  silent = false
  bans: Ban[] = [answers.detectedBan, answers.manualBan]
  /** Bans in a page of ListBans. */
  pageOfBans = Number.POSITIVE_INFINITY
  agents = answers.agents
  drops = answers.status.drops
  banControl = answers.status.banControl
  watchers: ServerWritableStream<object, WatchBansResponse>[] = []
  readonly #server = new Server({
    interceptors: [
      (_method, call) =>
        new ServerInterceptingCall(call, {
          start: (next) =>
            next({
              onReceiveMetadata: (metadata, forward) => {
                const [token] = metadata.get('authorization')
                this.tokens.push(token === undefined ? undefined : String(token))
                forward(metadata)
              },
            }),
        }),
    ],
  })
  #port = 0

  get address(): string {
    return `127.0.0.1:${this.#port}`
  }

  async start(): Promise<void> {
    const serve =
      <Request extends object, Response>(method: string, answer: (request: Request) => Response) =>
      (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>) => {
        this.asked.push({ method, request: call.request })
        if (this.silent) return
        if (this.failure) return callback(this.failure, null)
        try {
          callback(null, answer(call.request))
        } catch (error) {
          callback(error instanceof Refused ? error.failure : { code: status.INTERNAL }, null)
        }
      }
    const statusService: StatusServiceServer = {
      getStatus: serve('GetStatus', () => ({
        ...answers.status,
        drops: this.drops,
        banControl: this.banControl,
      })),
      listAgents: serve('ListAgents', () => ({ agents: this.agents })),
    }
    const hostService: HostServiceServer = {
      topHosts: serve('TopHosts', ({ limit }: TopHostsRequest) => ({ hosts: answers.hosts.slice(0, limit) })),
      watchTopHosts: (call: ServerWritableStream<WatchTopHostsRequest, WatchTopHostsResponse>) => {
        this.asked.push({ method: 'WatchTopHosts', request: call.request })
        call.write({ atUnixMs: answers.NOW, hosts: answers.hosts.slice(0, call.request.limit) })
      },
      watchHost: (call: ServerWritableStream<WatchHostRequest, WatchHostResponse>) => {
        this.asked.push({ method: 'WatchHost', request: call.request })
        call.write({ atUnixMs: answers.NOW, host: answers.host(call.request.address) })
      },
      getHost: serve('GetHost', ({ address }: GetHostRequest) => answers.host(address)),
    }
    const banService: BanServiceServer = {
      listBans: serve('ListBans', ({ includeEnded, pageToken }: ListBansRequest) => {
        const bans = this.bans.filter(({ state }) => includeEnded || state === 'banned')
        const from = Number(pageToken)
        const next = from + this.pageOfBans
        return { bans: bans.slice(from, next), nextPageToken: next < bans.length ? String(next) : '' }
      }),
      getBan: serve('GetBan', ({ id }: { id: string }) => {
        const ban = this.bans.find((candidate) => candidate.id === id)
        if (ban) return { ban }
        throw new Refused({ code: status.NOT_FOUND, details: `FD_BAN_UNKNOWN: no ban has the id ${id}` })
      }),
      addBan: serve('AddBan', (request: AddBanRequest) => ({ ban: answers.addedBan(request) })),
      removeBan: serve('RemoveBan', ({ target }: RemoveBanRequest) => ({ ban: answers.endedBan(target) })),
      pauseBans: serve('PauseBans', ({ who, reason }: PauseBansRequest) => {
        this.banControl = { state: 'paused', sinceUnixMs: answers.NOW, who, reason }
        return { control: this.banControl }
      }),
      resumeBans: serve('ResumeBans', ({ who, reason }: ResumeBansRequest) => {
        this.banControl = { state: 'running', sinceUnixMs: answers.NOW, who, reason }
        return { control: this.banControl }
      }),
      watchBans: (call: ServerWritableStream<object, WatchBansResponse>) => {
        this.watchers.push(call)
        for (const ban of this.bans) call.write({ event: 'state', atUnixMs: answers.NOW, ban })
      },
    }
    const baselineService: BaselineServiceServer = {
      listBaselines: serve('ListBaselines', () => ({
        baselines: [{ ...answers.baseline, metrics: answers.baseline.metrics }],
        addresses: 17,
        enabled: true,
      })),
      getBaseline: serve('GetBaseline', () => ({ baseline: answers.baseline })),
      exportBaselines: serve('ExportBaselines', () => ({ yaml: 'networks: []\n', targets: 1 })),
      forgetBaseline: serve('ForgetBaseline', () => ({})),
      acceptBaseline: serve('AcceptBaseline', () => ({ baseline: answers.baseline, raised: 5.02 })),
    }
    const attackService: AttackServiceServer = {
      listAttacks: serve('ListAttacks', () => ({ attacks: [answers.attack], nextPageToken: '' })),
      getAttack: serve('GetAttack', () => ({ attack: answers.attack })),
      watchAttacks: (call: ServerWritableStream<object, WatchAttacksResponse>) => {
        call.write({ event: 'state', atUnixMs: answers.NOW, attack: answers.attack })
      },
    }
    const flowService: FlowServiceServer = {
      queryFlows: serve('QueryFlows', (_request: QueryFlowsRequest) => answers.flows),
      topTalkers: serve('TopTalkers', ({ of }: TopTalkersRequest) => answers.talkers(of)),
      streamFlows: (call) => {
        call.write({ flows: answers.flows.flows })
        call.end()
      },
      watchFlows: (call: ServerWritableStream<WatchFlowsRequest, WatchFlowsResponse>) => {
        this.asked.push({ method: 'WatchFlows', request: call.request })
        call.write({ flows: [], missed: 0 })
        call.write({ flows: answers.flows.flows, missed: 0 })
        call.write({ flows: answers.flows.flows.slice(0, 1), missed: 17 })
      },
    }
    const configService: ConfigServiceServer = {
      getConfig: serve('GetConfig', () => answers.config),
      validateConfig: serve('ValidateConfig', ({ yaml }: ValidateConfigRequest) => answers.validated(yaml)),
    }
    const auditService: AuditServiceServer = {
      listAudit: serve('ListAudit', ({ pageToken, limit }: ListAuditRequest) =>
        answers.auditPage(pageToken, limit),
      ),
    }
    this.#server.addService(ConfigServiceService, configService)
    this.#server.addService(AuditServiceService, auditService)
    this.#server.addService(StatusServiceService, statusService)
    this.#server.addService(HostServiceService, hostService)
    this.#server.addService(BanServiceService, banService)
    this.#server.addService(BaselineServiceService, baselineService)
    this.#server.addService(AttackServiceService, attackService)
    this.#server.addService(FlowServiceService, flowService)
    this.#port = await new Promise((resolve, reject) => {
      this.#server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port),
      )
    })
  }

  /** At once, as a killed process would: open calls are cut. */
  stop(): void {
    this.#server.forceShutdown()
  }

  /** The last request to a method. */
  lastAsked(method: string): object | undefined {
    return this.asked.findLast((asked) => asked.method === method)?.request
  }
}

class Refused extends Error {
  readonly failure: Failure

  constructor(failure: Failure) {
    super(failure.details)
    this.failure = failure
  }
}
