// SPDX-License-Identifier: Apache-2.0
import type { Prefix } from '@flowdam/common'
import type { Ban } from './ban.js'
import { isBlackholed } from './levels.js'

const HISTORY = 1000
/**
 * Behind a blackhole an attack cannot be seen, so a ban that runs out is a probe. When the prefix is banned again so soon
 * after, the attack was still on.
 */
const PROBE_MS = 60_000

/** The bans that ended, oldest first, and what they mean for the next ones. */
export class PastBans {
  #bans: Ban[] = []
  /** Until when the detector leaves a prefix alone. */
  readonly #heldOff = new Map<string, number>()

  /** From the journal. */
  restore(bans: readonly Ban[], now: number): void {
    for (const { prefix, holdOffUntilUnixMs } of bans) {
      if (holdOffUntilUnixMs > now) this.#heldOff.set(prefix, holdOffUntilUnixMs)
    }
    this.#bans = bans.filter(({ state }) => state === 'unbanned').slice(-HISTORY)
  }

  add(ban: Ban, now: number): void {
    this.#bans.push(ban)
    if (this.#bans.length > HISTORY) this.#bans.shift()
    if (ban.holdOffUntilUnixMs > now) this.#heldOff.set(ban.prefix, ban.holdOffUntilUnixMs)
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

  /** Until when the detector leaves this prefix alone; 0 when it does not. */
  heldOffUntil(prefixText: string, now: number): number {
    const until = this.#heldOff.get(prefixText) ?? 0
    return until > now ? until : 0
  }

  /** A person wants it banned after all. */
  endHoldOff(prefixText: string): void {
    this.#heldOff.delete(prefixText)
  }

  forgetHoldOffs(now: number): void {
    for (const [prefix, until] of this.#heldOff) if (until <= now) this.#heldOff.delete(prefix)
  }
}
