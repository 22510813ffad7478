// SPDX-License-Identifier: Apache-2.0
import { contains, type Prefix, parsePrefix } from '@flowdam/common'
import type { Ban } from './ban.js'
import { isBlackholed } from './levels.js'
import { endFromNow } from './replay.js'

const HISTORY = 1000
/**
 * Behind a blackhole an attack cannot be seen, so a ban that runs out is a probe. When the prefix is banned again so soon
 * after, the attack was still on.
 */
const PROBE_MS = 60_000

/** The bans that ended, oldest first, and what they mean for the next ones. */
export class PastBans {
  #bans: Ban[] = []
  /** Until when the detector leaves a prefix alone, by its text. */
  readonly #heldOff = new Map<string, { prefix: Prefix; until: number }>()

  /** From the journal. */
  restore(bans: readonly Ban[], now: number): void {
    for (const { prefix, holdOffUntilUnixMs, unbannedUnixMs } of bans) {
      this.#holdOff(prefix, endFromNow(holdOffUntilUnixMs, unbannedUnixMs, now), now)
    }
    this.#bans = bans.filter(({ state }) => state === 'unbanned').slice(-HISTORY)
  }

  add(ban: Ban, now: number): void {
    this.#bans.push(ban)
    if (this.#bans.length > HISTORY) this.#bans.shift()
    this.#holdOff(ban.prefix, ban.holdOffUntilUnixMs, now)
  }

  all(): readonly Ban[] {
    return this.#bans
  }

  byId(id: string): Ban | undefined {
    return this.#bans.findLast((ban) => ban.id === id)
  }

  /** The attack outlived the last probe: one more round. A ban that a person or a guard rail ended was no probe. */
  roundOf(prefix: Prefix, now: number): number {
    const last = this.#bans.findLast((ban) => ban.prefix === prefix.text)
    if (last?.endedBy !== 'detector' || last.who !== 'detector' || !isBlackholed(last)) return 0
    return now - last.unbannedUnixMs <= PROBE_MS ? last.round + 1 : 0
  }

  /**
   * Until when the detector leaves this prefix alone; 0 when it does not. Also for one that holds what a person gave back:
   * a ban of the whole /24 would take it away again. Not for what is inside: who takes the /24 back may well want its
   * attacked addresses banned.
   */
  heldOffUntil(prefix: Prefix, now: number): number {
    let latest = 0
    for (const held of this.#heldOff.values()) {
      if (held.until > Math.max(now, latest) && contains(prefix, held.prefix)) latest = held.until
    }
    return latest
  }

  /** A person wants it banned after all. */
  endHoldOff(prefixText: string): void {
    this.#heldOff.delete(prefixText)
  }

  forgetHoldOffs(now: number): void {
    for (const [prefix, { until }] of this.#heldOff) if (until <= now) this.#heldOff.delete(prefix)
  }

  #holdOff(prefix: string, until: number, now: number): void {
    if (until > now) this.#heldOff.set(prefix, { prefix: parsePrefix(prefix), until })
  }
}
