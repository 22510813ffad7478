// SPDX-License-Identifier: Apache-2.0
import { formatPrefix, isIpv4, maskAddress, type Prefix, parsePrefix } from '@flowdam/common'
import type { DropRule } from '@flowdam/proto'
import * as libbpf from './libbpf.js'

/** max_entries of drop_exact, drop_v4 and drop_v6. */
const MOST_RULES = 4096
/** struct drop_rule: expires_ns, packets, bytes. */
const RULE_SIZE = 24
const V4_BITS = 96
/** A rule whose end moves by less than this is left alone: each write can cost its counters a packet. */
const SAME_END_NS = 1_000_000_000n
const RULE_MAPS = ['drop_exact', 'drop_v4', 'drop_v6'] as const
type RuleMapName = (typeof RULE_MAPS)[number]

/** Why a rule is not applied. */
export type RefusalReason = 'prefix_invalid' | 'outside_networks' | 'no_ttl' | 'too_many' | 'kernel'

export interface Refusal {
  prefix: string
  reason: RefusalReason
}

/** A rule in force, and what it has dropped. */
export interface DropRuleState {
  prefix: string
  packets: number
  bytes: number
  /** Milliseconds; until then the kernel drops. */
  remainingMs: number
}

interface Place {
  map: RuleMapName
  key: Uint8Array
  prefix: Prefix
}

/**
 * The rules in the programs' maps. Each carries its end, which the programs check: a dead agent cannot leave a drop for
 * ever. The ledger's counts of dropped packets are exact; a rule's own may miss what is dropped in the microseconds in
 * which it is written again.
 */
export class DropRules {
  /** Refused since start, by reason. */
  readonly refused = new Map<RefusalReason, number>()
  readonly #fds: Readonly<Record<RuleMapName, number>>
  readonly #now: () => bigint
  #timer: NodeJS.Timeout | undefined

  /** `now`: nanoseconds of CLOCK_MONOTONIC. */
  constructor(fds: Readonly<Record<RuleMapName, number>>, now = () => process.hrtime.bigint()) {
    this.#fds = fds
    this.#now = now
  }

  /** Makes these the rules, in place of all that were there. What is not inside `networks` is refused. */
  replace(rules: readonly DropRule[], networks: readonly string[]): Refusal[] {
    const ours = networks.map((text) => parsePrefix(text))
    const refusals: Refusal[] = []
    const wanted = new Map<string, Place & { expires: bigint }>()
    const room: Record<RuleMapName, number> = { drop_exact: 0, drop_v4: 0, drop_v6: 0 }
    for (const rule of rules) {
      const prefix = tryPrefix(rule.prefix)
      const reason = prefix ? refusalOf(prefix, rule, ours) : 'prefix_invalid'
      const place = prefix && placeOf(prefix)
      if (reason || !place) refusals.push({ prefix: rule.prefix, reason: reason ?? 'prefix_invalid' })
      else if (++room[place.map] > MOST_RULES) refusals.push({ prefix: rule.prefix, reason: 'too_many' })
      else wanted.set(prefix.text, { ...place, expires: this.#now() + BigInt(rule.ttlS) * 1_000_000_000n })
    }
    // First away with the old ones: their places may be needed.
    for (const place of this.#present()) {
      if (!wanted.has(place.prefix.text)) libbpf.mapDelete(this.#fds[place.map], place.key)
    }
    for (const [text, { expires, ...place }] of wanted) {
      if (!this.#write(place, expires)) refusals.push({ prefix: text, reason: 'kernel' })
    }
    for (const { reason } of refusals) this.refused.set(reason, (this.refused.get(reason) ?? 0) + 1)
    this.sweep()
    return refusals
  }

  /** Rules in force. */
  list(): DropRuleState[] {
    const now = this.#now()
    const found: DropRuleState[] = []
    for (const { map, key, prefix } of this.#present()) {
      const rule = this.#read(map, key)
      if (!rule || rule.expires <= now) continue
      const remainingMs = Number((rule.expires - now) / 1_000_000n)
      found.push({
        prefix: prefix.text,
        packets: Number(rule.packets),
        bytes: Number(rule.bytes),
        remainingMs,
      })
    }
    return found
  }

  /**
   * Removes rules whose end has come, now and when the next one's comes: a longer prefix, though it does not drop any
   * more, would hide a shorter one.
   */
  sweep(): void {
    clearTimeout(this.#timer)
    const now = this.#now()
    let next: bigint | undefined
    for (const { map, key } of this.#present()) {
      const expires = this.#read(map, key)?.expires ?? now
      if (expires <= now) libbpf.mapDelete(this.#fds[map], key)
      else if (next === undefined || expires < next) next = expires
    }
    if (next === undefined) return
    const waitMs = Math.min(Number((next - now) / 1_000_000n) + 10, 3_600_000)
    this.#timer = setTimeout(() => this.sweep(), waitMs)
    this.#timer.unref()
  }

  /** The rules stay in the maps, until their end. */
  stop(): void {
    clearTimeout(this.#timer)
  }

  #write(place: Place, expires: bigint): boolean {
    const before = this.#read(place.map, place.key)
    if (before) {
      const shift = expires - before.expires
      if (shift > -SAME_END_NS && shift < SAME_END_NS) return true
    }
    const value = new Uint8Array(RULE_SIZE)
    const view = new DataView(value.buffer)
    view.setBigUint64(0, expires, true)
    view.setBigUint64(8, before?.packets ?? 0n, true)
    view.setBigUint64(16, before?.bytes ?? 0n, true)
    return libbpf.mapUpdate(this.#fds[place.map], place.key, value) >= 0
  }

  #read(map: RuleMapName, key: Uint8Array) {
    const value = new Uint8Array(RULE_SIZE)
    if (libbpf.mapLookup(this.#fds[map], key, value) < 0) return undefined
    const view = new DataView(value.buffer)
    return {
      expires: view.getBigUint64(0, true),
      packets: view.getBigUint64(8, true),
      bytes: view.getBigUint64(16, true),
    }
  }

  #present(): Place[] {
    return RULE_MAPS.flatMap((map) => {
      const places: Place[] = []
      let last: Uint8Array | null = null
      for (;;) {
        const key: Uint8Array = new Uint8Array(KEY_SIZE[map])
        if (libbpf.mapNextKey(this.#fds[map], last, key) < 0) return places
        places.push({ map, key, prefix: prefixOf(map, key) })
        last = key
      }
    })
  }
}

const KEY_SIZE: Readonly<Record<RuleMapName, number>> = { drop_exact: 16, drop_v4: 8, drop_v6: 20 }

/** One address goes to the hash, which is asked first and is the fastest; else to the family's trie. */
function placeOf(prefix: Prefix): Place {
  const { bytes, length } = prefix
  if (length === 128) return { map: 'drop_exact', key: bytes, prefix }
  const v4 = length >= V4_BITS && isIpv4(bytes)
  const map = v4 ? 'drop_v4' : 'drop_v6'
  const key = new Uint8Array(KEY_SIZE[map])
  new DataView(key.buffer).setUint32(0, v4 ? length - V4_BITS : length, true)
  key.set(v4 ? bytes.subarray(12) : bytes, 4)
  return { map, key, prefix }
}

function prefixOf(map: RuleMapName, key: Uint8Array): Prefix {
  if (map === 'drop_exact') return parsePrefix(formatPrefix(key, 128))
  const length = new DataView(key.buffer).getUint32(0, true)
  if (map === 'drop_v6') return parsePrefix(formatPrefix(key.subarray(4), length))
  const bytes = new Uint8Array(16)
  bytes.set([0xff, 0xff], 10)
  bytes.set(key.subarray(4), 12)
  return parsePrefix(formatPrefix(bytes, length + V4_BITS))
}

function refusalOf(prefix: Prefix, { ttlS }: DropRule, ours: readonly Prefix[]): RefusalReason | undefined {
  if (ttlS === 0) return 'no_ttl'
  const inside = ours.some(
    ({ bytes, length }) =>
      length <= prefix.length &&
      maskAddress(prefix.bytes, length).every((byte, index) => byte === bytes[index]),
  )
  return inside ? undefined : 'outside_networks'
}

function tryPrefix(text: string): Prefix | undefined {
  try {
    return parsePrefix(text)
  } catch {
    return undefined
  }
}
