// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { commandIn } from './commands.js'
import { EDGE_BGP, type LabNetwork, type Place, ROUTER_BGP } from './network.js'
import { LabProcess } from './process.js'
import { waitFor } from './wait.js'

/** RFC 7999: BLACKHOLE, as GoBGP's JSON has it. */
export const BLACKHOLE_COMMUNITY = 65535 * 65536 + 666

export interface Route {
  prefix: string
  nextHop: string
  communities: number[]
}

/** A FlowSpec rule as GoBGP writes it, and what it asks for. */
export interface FlowRule {
  /** `[destination: 203.0.113.9/32][protocol: ==udp]` */
  match: string
  /** Bytes per second; 0 discards. */
  rate: number
  communities: number[]
}

/** A change of the router's table, at the moment `gobgp monitor` said so. */
export interface RouteChange {
  at: number
  present: boolean
  route: Route
}

interface RibPath {
  nlri?: { prefix?: string }
  withdrawal?: boolean
  attrs?: { type: number; communities?: number[]; nexthop?: string; value?: { rate?: number }[] }[]
}

// RFC 4271 and RFC 1997 attribute types.
const NEXT_HOP = 3
const COMMUNITIES = 8
const MP_REACH = 14
/** RFC 8955 section 7.1: traffic-rate is one of these. */
const EXTENDED_COMMUNITIES = 16

/** AS numbers for documentation (RFC 5398). */
const SPEAKERS = {
  edge: { as: 64500, address: EDGE_BGP, peer: { as: 64501, address: ROUTER_BGP } },
  router: { as: 64501, address: ROUTER_BGP, peer: { as: 64500, address: EDGE_BGP } },
} as const

const FAMILIES = ['ipv4-unicast', 'ipv6-unicast', 'ipv4-flowspec', 'ipv6-flowspec']

/** The families of a neighbour, for gobgpd's configuration. */
export function familyLines(): string {
  return FAMILIES.map(
    (name) =>
      `  [[neighbors.afi-safis]]\n    [neighbors.afi-safis.config]\n      afi-safi-name = "${name}"\n`,
  ).join('')
}

/** One gobgpd in its namespace, its API on that namespace's loopback only. */
export class Speaker {
  readonly place: keyof typeof SPEAKERS & Place
  readonly #network: LabNetwork
  readonly #process: LabProcess

  constructor(network: LabNetwork, place: keyof typeof SPEAKERS) {
    this.place = place
    this.#network = network
    const config = join(network.folder, `gobgpd-${place}.toml`)
    this.#process = new LabProcess({
      name: `gobgpd of the ${place}`,
      program: 'gobgpd',
      args: ['-f', config, '--api-hosts', '127.0.0.1:50051', '--pprof-disable', '--log-plain'],
      namespace: network.namespaces[place],
      logFile: join(network.folder, `gobgpd-${place}.log`),
      // Both speakers are small; one thread each leaves the cores to the daemons.
      env: { GOMAXPROCS: '1' },
    })
  }

  async start(): Promise<void> {
    const { as, address, peer } = SPEAKERS[this.place]
    writeFileSync(
      join(this.#network.folder, `gobgpd-${this.place}.toml`),
      `[global.config]
  as = ${as}
  router-id = "${address}"
  local-address-list = ["${address}"]

[[neighbors]]
  [neighbors.config]
    neighbor-address = "${peer.address}"
    peer-as = ${peer.as}
  [neighbors.transport.config]
    local-address = "${address}"
    # One side calls, so that two calls never collide.
    passive-mode = ${this.place === 'router'}
  [neighbors.timers.config]
    connect-retry = 1
    hold-time = 9
    keepalive-interval = 3
${familyLines()}`,
    )
    this.#process.start()
    await waitFor(`the API of ${this.#process.name}`, () => {
      if (!this.#process.running) {
        throw new Error(`${this.#process.name} ended:\n${this.#process.logTail()}`)
      }
      return this.gobgp(['global']).catch(() => undefined)
    })
  }

  async stop(): Promise<void> {
    await this.#process.stop()
  }

  gobgp(args: readonly string[]): Promise<string> {
    return commandIn(this.#network.namespaces[this.place], 'gobgp', args)
  }

  /** Calls `onChange` for each route that comes or goes, from now on; stop the process to end it. */
  watch(onChange: (change: RouteChange) => void): LabProcess {
    const monitor = new LabProcess({
      name: `gobgp monitor of the ${this.place}`,
      program: 'gobgp',
      args: ['-j', 'monitor', 'global', 'rib'],
      namespace: this.#network.namespaces[this.place],
      logFile: join(this.#network.folder, `gobgp-monitor-${this.place}.log`),
      onLine: (line) => {
        const said = JSON.parse(line) as RibPath[] | { error: string } | null
        // `null` when an update has no path, such as the end of a family's table; an error when gobgpd has ended.
        for (const path of Array.isArray(said) ? said : []) {
          const route = readPath(path.nlri?.prefix ?? '', path)
          onChange({ at: Date.now(), present: path.withdrawal !== true, route })
        }
      },
    })
    monitor.start()
    return monitor
  }

  /** Until the session to the other speaker is up. */
  async established(): Promise<void> {
    await waitFor(`the BGP session of the ${this.place}`, async () => {
      const neighbours = await this.gobgp(['neighbor'])
      return / Establ /.test(neighbours) ? true : undefined
    })
  }

  /** The best routes of its table. */
  async routes(): Promise<Route[]> {
    const tables = await Promise.all(
      ['ipv4', 'ipv6'].map((family) => this.gobgp(['-j', 'global', 'rib', '-a', family])),
    )
    return tables.flatMap((table) => readTable(JSON.parse(table) as Record<string, RibPath[]>))
  }

  /** The FlowSpec rules of its table. */
  async flowRules(): Promise<FlowRule[]> {
    const tables = await Promise.all(
      ['ipv4-flowspec', 'ipv6-flowspec'].map((family) => this.gobgp(['-j', 'global', 'rib', '-a', family])),
    )
    return tables
      .flatMap((table) => Object.entries(JSON.parse(table) as Record<string, RibPath[]>))
      .flatMap(([match, [best]]) => (best ? [readRule(match, best)] : []))
  }

  /** The route of exactly this prefix, or undefined. */
  async route(prefix: string): Promise<Route | undefined> {
    const routes = await this.routes()
    return routes.find((route) => route.prefix === prefix)
  }
}

function readTable(table: Record<string, RibPath[]>): Route[] {
  return Object.entries(table).flatMap(([prefix, [best]]) => (best ? [readPath(prefix, best)] : []))
}

function readPath(prefix: string, path: RibPath): Route {
  const attributes = path.attrs ?? []
  const hop = attributes.find(({ type }) => type === NEXT_HOP || type === MP_REACH)
  return {
    prefix,
    nextHop: hop?.nexthop ?? '',
    communities: attributes.find(({ type }) => type === COMMUNITIES)?.communities ?? [],
  }
}

function readRule(match: string, path: RibPath): FlowRule {
  const attributes = path.attrs ?? []
  const extended = attributes.find(({ type }) => type === EXTENDED_COMMUNITIES)?.value ?? []
  return {
    match,
    rate: extended.find(({ rate }) => rate !== undefined)?.rate ?? Number.NaN,
    communities: attributes.find(({ type }) => type === COMMUNITIES)?.communities ?? [],
  }
}
