// SPDX-License-Identifier: Apache-2.0
import {
  type Feature,
  parseDriver,
  parseFeatures,
  parseIndirection,
  parseSettings,
  type Settings,
} from './ethtool.js'
import { readNumber, type Sources } from './sources.js'

/** What one interface is, from /sys and ethtool. */
export interface Interface {
  name: string
  /** Kernel driver; undefined where neither /sys nor ethtool says. */
  driver: string | undefined
  mtu: number
  /** `up`, `down`, `unknown`, … */
  state: string
  rxQueues: number
  /** Bits of a virtio device's features, from bit 0. */
  virtioFeatures: string | undefined
  /** Interfaces that this one stands on. */
  lower: string[]
  /** VLAN interfaces that stand on this one. */
  vlans: string[]
  features: Map<string, Feature>
  rings: Settings
  channels: Settings
  /** Queues that received packets are spread over; empty where the driver does not tell. */
  indirection: Set<number>
  xdp: AttachedProgram | undefined
}

export interface AttachedProgram {
  id: number
  name: string
  mode: string
}

/** Interfaces worth a look without being named: those with hardware (or a hypervisor's) behind them. */
export function hardwareInterfaces(sources: Sources): string[] {
  return sources
    .list('/sys/class/net')
    .filter((name) => sources.link(`/sys/class/net/${name}/device`) !== undefined)
}

export function interfaceExists(sources: Sources, name: string): boolean {
  return sources.read(`/sys/class/net/${name}/ifindex`) !== undefined
}

export async function readInterface(sources: Sources, name: string): Promise<Interface> {
  const folder = `/sys/class/net/${name}`
  const ask = async (option: string) => (await sources.run('ethtool', option, name)) ?? ''
  const entries = sources.list(folder)
  const related = (kind: string) =>
    entries.filter((entry) => entry.startsWith(kind)).map((entry) => entry.slice(kind.length))
  return {
    name,
    driver:
      sources.link(`${folder}/device/driver`)?.split('/').at(-1) ??
      parseDriver(await ask('-i')) ??
      deviceType(sources, folder),
    mtu: readNumber(sources, `${folder}/mtu`) ?? 0,
    state: sources.read(`${folder}/operstate`)?.trim() ?? 'unknown',
    rxQueues: sources.list(`${folder}/queues`).filter((queue) => queue.startsWith('rx-')).length,
    virtioFeatures: sources.read(`${folder}/device/features`)?.trim(),
    lower: related('lower_'),
    vlans: related('upper_').filter(
      (upper) => deviceType(sources, `/sys/class/net/${upper}`) === '802.1Q VLAN Support',
    ),
    features: parseFeatures(await ask('-k')),
    rings: parseSettings(await ask('-g')),
    channels: parseSettings(await ask('-l')),
    indirection: parseIndirection(await ask('-x')),
    xdp: parseAttached((await sources.run('ip', '-json', '-details', 'link', 'show', 'dev', name)) ?? ''),
  }
}

/** As ethtool names the driver of a device that has no hardware. */
function deviceType(sources: Sources, folder: string): string | undefined {
  const type = /^DEVTYPE=(\w+)$/m.exec(sources.read(`${folder}/uevent`) ?? '')?.[1]
  const drivers: Record<string, string> = { vlan: '802.1Q VLAN Support', bond: 'bonding' }
  return type === undefined ? undefined : (drivers[type] ?? type)
}

/** Modes of include/uapi/linux/if_link.h, XDP_ATTACHED_… */
const MODES: Record<number, string> = { 1: 'native', 2: 'generic', 3: 'offloaded', 4: 'several' }

/** From `ip -json link`: the XDP program that is attached already. */
export function parseAttached(json: string): AttachedProgram | undefined {
  let links: unknown
  try {
    links = JSON.parse(json)
  } catch {
    return undefined
  }
  const first: unknown = Array.isArray(links) ? links[0] : undefined
  const xdp = property(first, 'xdp')
  const program = property(xdp, 'prog')
  const id = property(program, 'id')
  if (typeof id !== 'number') return undefined
  const name = property(program, 'name')
  return {
    id,
    name: typeof name === 'string' ? name : '',
    mode: MODES[Number(property(xdp, 'mode'))] ?? 'unknown',
  }
}

function property(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
}
