// SPDX-License-Identifier: Apache-2.0
import { contains, type Prefix, parsePrefix } from '@flowdam/common'
import type { Ban } from './ban.js'
import { isStopped } from './levels.js'

export interface ActiveBan {
  ban: Ban
  prefix: Prefix
  /** The end that the journal knows. */
  journaledUntil: number
}

/** The bans in force, one for a prefix, oldest first. */
export class ActiveBans {
  readonly #byPrefix = new Map<string, ActiveBan>()

  add(ban: Ban, prefix = parsePrefix(ban.prefix)): ActiveBan {
    const entry = { ban, prefix, journaledUntil: ban.untilUnixMs }
    this.#byPrefix.set(prefix.text, entry)
    return entry
  }

  delete(ban: Ban): void {
    this.#byPrefix.delete(ban.prefix)
  }

  get size(): number {
    return this.#byPrefix.size
  }

  /** As they are now; what is added or deleted meanwhile does not matter. */
  all(): ActiveBan[] {
    return [...this.#byPrefix.values()]
  }

  of(prefix: Prefix): ActiveBan | undefined {
    return this.#byPrefix.get(prefix.text)
  }

  /** Those that hold the prefix, itself among them; oldest first. */
  covering(prefix: Prefix): ActiveBan[] {
    return this.all().filter((entry) => contains(entry.prefix, prefix))
  }

  /** Bans that drop or blackhole. */
  get stops(): number {
    let count = 0
    for (const { ban } of this.#byPrefix.values()) if (isStopped(ban)) count++
    return count
  }

  byId(id: string): ActiveBan | undefined {
    for (const entry of this.#byPrefix.values()) if (entry.ban.id === id) return entry
    return undefined
  }

  /** By id, address or prefix. */
  find(target: string): ActiveBan | undefined {
    const known = this.byId(target)
    if (known) return known
    try {
      return this.of(parsePrefix(target))
    } catch {
      return undefined
    }
  }
}
