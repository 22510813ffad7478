// SPDX-License-Identifier: Apache-2.0
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { command, commandIn, ipBatch } from './commands.js'
import { Guard } from './guard.js'

export type Place = 'internet' | 'edge' | 'router' | 'customer'

const PLACES: readonly Place[] = ['internet', 'edge', 'router', 'customer']

/** A veth pair between two places; the interface's name is that of the side it leads to. */
interface Link {
  a: { place: Place; name: string; mac: string }
  b: { place: Place; name: string; mac: string }
}

// Locally administered addresses, fixed so that nobody has to ask for them.
const UPLINK: Link = {
  a: { place: 'internet', name: 'edge', mac: '02:fd:00:00:01:01' },
  b: { place: 'edge', name: 'uplink', mac: '02:fd:00:00:01:02' },
}
const CUSTOMERS: Link = {
  a: { place: 'customer', name: 'edge', mac: '02:fd:00:00:02:01' },
  b: { place: 'edge', name: 'customers', mac: '02:fd:00:00:02:02' },
}
const PEERING: Link = {
  a: { place: 'router', name: 'edge', mac: '02:fd:00:00:03:01' },
  b: { place: 'edge', name: 'router', mac: '02:fd:00:00:03:02' },
}

/** Documentation prefixes (RFC 5737, RFC 3849); the generator's defaults are the same. */
export const CUSTOMER_NETWORKS = ['203.0.113.0/24', '2001:db8:1::/48'] as const
/** The two BGP speakers' addresses on the peering link (192.0.2.1 is the hook's discard next hop). */
export const EDGE_BGP = '192.0.2.9'
export const ROUTER_BGP = '192.0.2.10'

/** Where each direction of traffic is sent from, and to which next hop. */
export const TRAFFIC_FROM = {
  internet: { interface: UPLINK.a.name, nextHopMac: UPLINK.b.mac },
  customer: { interface: CUSTOMERS.a.name, nextHopMac: CUSTOMERS.b.mac },
} as const

/** The edge's interface towards the internet, where the agent counts. */
export const UPLINK_NAME = UPLINK.b.name

let made = 0

/**
 * Four network namespaces: the internet, our edge, a customer and an upstream's router, joined by veth pairs. The
 * edge forwards between uplink and customers. Only the generator's packets cross the uplink: nobody has an address
 * there, neighbours are permanent, and IPv6 is silent, so that counts can be compared exactly.
 */
export class LabNetwork {
  readonly namespaces: Readonly<Record<Place, string>>
  /** For configuration, logs and stores; gone after stop(). */
  readonly folder: string
  readonly #guard: Guard

  constructor() {
    made += 1
    const prefix = `fd${process.pid}${made > 1 ? `n${made}` : ''}`
    this.namespaces = {
      internet: `${prefix}-internet`,
      edge: `${prefix}-edge`,
      router: `${prefix}-router`,
      customer: `${prefix}-customer`,
    }
    this.folder = join(tmpdir(), `flowdam-lab-${prefix}`)
    this.#guard = new Guard(this.folder, Object.values(this.namespaces))
  }

  async start(): Promise<void> {
    this.#guard.start()
    await command('mkdir', ['-m', '700', this.folder])
    for (const place of PLACES) await command('ip', ['netns', 'add', this.namespaces[place]])
    for (const place of PLACES) await this.#settings(place)
    for (const link of [UPLINK, CUSTOMERS, PEERING]) await this.#connect(link)
    await this.#routes()
  }

  async stop(): Promise<void> {
    await this.#guard.stop()
  }

  async #settings(place: Place): Promise<void> {
    const forwarding = place === 'edge' ? 1 : 0
    await commandIn(this.namespaces[place], 'sysctl', [
      '-q',
      `net.ipv4.ip_forward=${forwarding}`,
      'net.ipv4.conf.all.rp_filter=0',
      'net.ipv4.conf.default.rp_filter=0',
      `net.ipv6.conf.all.forwarding=${forwarding}`,
      // New interfaces join no "all routers" group, so they report none.
      'net.ipv6.conf.default.forwarding=0',
      'net.ipv6.conf.default.accept_ra=0',
      // Who only sends and swallows test traffic needs no IPv6 stack on its interface.
      `net.ipv6.conf.default.disable_ipv6=${place === 'internet' || place === 'customer' ? 1 : 0}`,
    ])
    await ipBatch(this.namespaces[place], ['link set lo up'])
  }

  async #connect({ a, b }: Link): Promise<void> {
    const [nsA, nsB] = [this.namespaces[a.place], this.namespaces[b.place]]
    await ipBatch(undefined, [
      `link add ${a.name} address ${a.mac} netns ${nsA} type veth peer name ${b.name} address ${b.mac} netns ${nsB}`,
    ])
    for (const end of [a, b]) {
      const namespace = this.namespaces[end.place]
      await ipBatch(namespace, [`link set ${end.name} addrgenmode none`, `link set ${end.name} up`])
      // A real queue: a full veth ring then makes the sender wait instead of losing packets.
      await command('tc', ['-n', namespace, 'qdisc', 'replace', 'dev', end.name, 'root', 'pfifo'])
    }
  }

  async #routes(): Promise<void> {
    const [v4, v6] = CUSTOMER_NETWORKS
    const edge = [
      `addr add ${EDGE_BGP}/30 dev ${PEERING.b.name}`,
      // Next hops exist as permanent neighbours only.
      ...permanentNeighbours(UPLINK.b.name, UPLINK.a.mac),
      ...permanentNeighbours(CUSTOMERS.b.name, CUSTOMERS.a.mac),
      `route add default via 192.0.2.5 dev ${UPLINK.b.name} onlink`,
      `route add default via fe80::1 dev ${UPLINK.b.name} onlink`,
      `route add ${v4} via 192.0.2.5 dev ${CUSTOMERS.b.name} onlink`,
      `route add ${v6} via fe80::1 dev ${CUSTOMERS.b.name} onlink`,
    ]
    await ipBatch(this.namespaces.edge, edge)
    await ipBatch(this.namespaces.router, [`addr add ${ROUTER_BGP}/30 dev ${PEERING.a.name}`])
  }
}

function permanentNeighbours(device: string, mac: string): string[] {
  return ['192.0.2.5', 'fe80::1'].map(
    (address) => `neigh replace ${address} lladdr ${mac} dev ${device} nud permanent`,
  )
}
