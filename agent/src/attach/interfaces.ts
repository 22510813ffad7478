// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs'
import { describeError, FlowdamError, type Logger } from '@flowdam/common'
import { Boundary, IFACE_EGRESS, type Interface, type InterfaceTable } from '@flowdam/proto'
import type { IfaceTable } from '../kernel/iface-table.js'
import { IfaceFlag } from '../kernel/layout.js'
import * as libbpf from '../kernel/libbpf.js'
import type { Pins } from '../kernel/pins.js'
import { attachEgress, type EgressAttachment } from './egress.js'
import { LinkPin, linkPinName, linkPins } from './link-pin.js'
import { NicDrops } from './nic-drops.js'
import { type AttachWish, attachXdp, type XdpMode } from './xdp.js'

const POLL_MS = 1000
const REPEAT_WARNING_MS = 60_000
/** ARPHRD_ of linux/if_arp.h whose frames begin with the IP header: PPP, tunnels without link layer, raw IP. */
const LAYER3_TYPES = new Set([512, 519, 65_534, 768, 769, 776])

export interface InterfaceWish {
  name: string
  boundary: 'external' | 'internal'
  /** The low bits of a record's iface byte. */
  index: number
}

export interface InterfacesOptions {
  wishes: readonly InterfaceWish[]
  attach: AttachWish
  tap: boolean
  /** Loaded programs; no egress program: ingress only. */
  xdpFd: number
  tcFd?: number | undefined
  table: IfaceTable
  /** Where links are kept over a restart; absent: they end with this process. */
  pins?: Pins | undefined
  /** Names by index, those of interfaces that are not wished for any more included: records may still name them. */
  names: readonly string[]
  log: Logger
  /** Called when an interface appears, vanishes or attaches otherwise than before. */
  changed: () => void
}

interface State extends InterfaceWish {
  /** 0: absent. */
  ifindex: number
  xdp: { linkFd: number; mode: XdpMode } | undefined
  egress: EgressAttachment | undefined
  warnedAt: number
  nic: NicDrops
}

/** Keeps the programs attached to the configured interfaces, those that come and go included. */
export class Interfaces {
  readonly #options: InterfacesOptions
  readonly #states: State[]
  #timer: NodeJS.Timeout | undefined

  constructor(options: InterfacesOptions) {
    this.#options = options
    this.#states = options.wishes.map((wish) => ({
      ...wish,
      ifindex: 0,
      xdp: undefined,
      egress: undefined,
      warnedAt: 0,
      nic: new NicDrops(wish.name),
    }))
  }

  /** Attaches what is there. An interface that is missing is waited for; one that refuses is an error. */
  start(): void {
    try {
      this.#removeStrangers()
      for (const state of this.#states) this.#attach(state)
    } catch (error) {
      this.stop()
      throw error
    }
    this.#warnAbsent()
    this.#timer = setInterval(() => this.#poll(), POLL_MS)
  }

  /** Detaches everything; with pins, leaves everything attached. */
  stop(): void {
    clearInterval(this.#timer)
    for (const state of this.#states) {
      if (this.#options.pins) this.#release(state)
      else this.#detach(state)
    }
  }

  /** Names by the low bits of a record's iface byte. */
  get names(): readonly string[] {
    return this.#options.names
  }

  /** What the cards lost before any program saw it. */
  nicDrops(): { name: string; drops: ReadonlyMap<string, number> }[] {
    return this.#states.map(({ name, nic }) => ({ name, drops: nic.read() }))
  }

  /** 1 for each iface byte whose packets count in totals and detection. */
  static externalBytes(wishes: readonly InterfaceWish[]): Uint8Array {
    const external = new Uint8Array(256)
    for (const { index, boundary } of wishes) {
      if (boundary !== 'external') continue
      external[index] = 1
      external[index | IFACE_EGRESS] = 1
    }
    return external
  }

  message(): InterfaceTable {
    const known = new Set(this.#states.map(({ index }) => index))
    const former = this.#options.names.flatMap((name, index) =>
      known.has(index) ? [] : [formerly(name, index)],
    )
    return {
      interfaces: this.#states
        .map(
          ({ index, name, ifindex, boundary, xdp }): Interface => ({
            index,
            name,
            ifindex,
            boundary: boundary === 'external' ? Boundary.BOUNDARY_EXTERNAL : Boundary.BOUNDARY_INTERNAL,
            attachMode: xdp?.mode ?? 'absent',
            speedBps: ifindex === 0 ? 0 : linkSpeed(name),
          }),
        )
        .concat(former),
    }
  }

  #attach(state: State): void {
    const { name } = state
    const { attach, tap, xdpFd, tcFd, table, pins, log } = this.#options
    const ifindex = libbpf.ifNameToIndex(name)
    if (ifindex === 0) return
    const flags = (tap ? IfaceFlag.drop : 0) | (isLayer3(name) ? IfaceFlag.layer3 : 0)
    // Before the program: its first packet must find its interface.
    table.set(ifindex, state.index, flags)
    state.ifindex = ifindex
    try {
      const xdp = attachXdp(xdpFd, { name, ifindex }, attach, pins && new LinkPin(pins, 'xdp', name))
      state.xdp = xdp
      if (tcFd !== undefined) {
        const pin = pins && new LinkPin(pins, 'tcx', name)
        state.egress = attachEgress(tcFd, { name, ifindex }, { pin })
      }
      const egress = state.egress?.by ?? 'none'
      if (xdp.mode === 'native') log.info({ interface: name, ifindex, egress }, 'attached in native mode')
      else {
        log.warn(
          { interface: name, ifindex, egress, driver: xdp.fellBack },
          'attached in generic mode: packets that GRO joins count as one; turn it off with `ethtool -K NAME gro off`',
        )
      }
    } catch (error) {
      this.#detach(state)
      throw error
    }
  }

  #detach(state: State): void {
    const { pins } = this.#options
    state.egress?.detach()
    state.egress = undefined
    if (pins) new LinkPin(pins, 'xdp', state.name).remove()
    if (state.xdp) libbpf.closeFd(state.xdp.linkFd)
    state.xdp = undefined
    if (state.ifindex !== 0) this.#options.table.remove(state.ifindex)
    state.ifindex = 0
  }

  /** The programs go on counting. */
  #release(state: State): void {
    state.egress?.release()
    state.egress = undefined
    if (state.xdp) libbpf.closeFd(state.xdp.linkFd)
    state.xdp = undefined
  }

  /** Links of an agent before us to interfaces, or in directions, that are not wished for any more. */
  #removeStrangers(): void {
    const { pins, tcFd } = this.#options
    if (!pins) return
    const wanted = new Set(
      this.#states.flatMap(({ name }) => [
        linkPinName('xdp', name),
        ...(tcFd === undefined ? [] : [linkPinName('tcx', name)]),
      ]),
    )
    for (const name of linkPins(pins)) if (!wanted.has(name)) pins.remove(name)
  }

  #poll(): void {
    let changed = false
    for (const state of this.#states) {
      if (state.xdp && this.#intact(state)) continue
      const was = state.xdp?.mode
      if (state.xdp) {
        this.#options.log.warn(
          { interface: state.name, ifindex: state.ifindex },
          'interface or attachment gone',
        )
        this.#detach(state)
      }
      try {
        this.#attach(state)
      } catch (error) {
        this.#warn(state, describeError(error))
      }
      changed ||= state.xdp?.mode !== was || state.xdp !== undefined
    }
    this.#warnAbsent()
    if (changed) this.#options.changed()
  }

  #intact(state: State): boolean {
    const { name, ifindex, xdp, egress } = state
    if (libbpf.ifNameToIndex(name) !== ifindex) return false
    if (libbpf.linkIfindex(xdp?.linkFd ?? -1) !== ifindex) return false
    return !egress || egress.linkFd < 0 || libbpf.linkIfindex(egress.linkFd) === ifindex
  }

  #warnAbsent(): void {
    for (const state of this.#states) {
      if (!state.xdp) this.#warn(state, 'interface missing')
    }
  }

  /** Each interface once a minute. */
  #warn(state: State, reason: string): void {
    const now = performance.now()
    if (state.warnedAt !== 0 && now - state.warnedAt < REPEAT_WARNING_MS) return
    state.warnedAt = now
    this.#options.log.warn(
      { interface: state.name, reason },
      'not counting on this interface; trying each second',
    )
  }
}

/** Not wished for any more, but records of its time may still come. */
function formerly(name: string, index: number): Interface {
  const boundary = Boundary.BOUNDARY_EXTERNAL
  return { index, name, ifindex: 0, boundary, attachMode: 'absent', speedBps: 0 }
}

/** Where no interface is ever there, a slip of the pen is likely: what there is. */
export function missingInterfaces(wishes: readonly { name: string }[]): FlowdamError | undefined {
  const missing = wishes.filter(({ name }) => libbpf.ifNameToIndex(name) === 0).map(({ name }) => name)
  if (missing.length < wishes.length) return undefined
  return new FlowdamError('FD_INTERFACE_MISSING', `there is no interface ${missing.join(', ')} here`, {
    remedy: 'see `ip -brief link`; the agent goes on and attaches when one appears',
  })
}

function isLayer3(name: string): boolean {
  return LAYER3_TYPES.has(Number(sysfs(name, 'type') || 1))
}

/** bit/s, 0 when the driver does not say. */
function linkSpeed(name: string): number {
  const megabits = Number(sysfs(name, 'speed'))
  return megabits > 0 ? megabits * 1e6 : 0
}

function sysfs(name: string, file: string): string {
  try {
    return readFileSync(`/sys/class/net/${name}/${file}`, 'utf8').trim()
  } catch {
    return ''
  }
}
