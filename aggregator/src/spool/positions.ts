// SPDX-License-Identifier: Apache-2.0

/** {agent: {bootId: newest seq}}, as a sidecar's header holds it. */
export type PositionTable = Record<string, Record<string, number>>

/** A boot that has not sent for this many newer boots of its agent is forgotten. */
const BOOTS_PER_AGENT = 64

/**
 * The newest batch seq by (agent, boot). Batches of a boot come in order, so one number says which ones are known.
 * Bounded: the agents' number is ingest's to limit, boots are limited here.
 */
export class Positions {
  readonly #agents = new Map<string, Map<number, number>>()

  get(agent: string, boot: number): number {
    return this.#agents.get(agent)?.get(boot) ?? 0
  }

  /** Raises the position; a lower seq changes nothing. */
  set(agent: string, boot: number, seq: number): void {
    const boots = this.#agents.get(agent) ?? new Map<number, number>()
    this.#agents.set(agent, boots)
    const known = boots.get(boot)
    if (known !== undefined) {
      if (seq > known) boots.set(boot, seq)
      return
    }
    boots.set(boot, seq)
    if (boots.size > BOOTS_PER_AGENT) boots.delete(Math.min(...boots.keys()))
  }

  toJSON(): PositionTable {
    const table: PositionTable = {}
    for (const [agent, boots] of this.#agents) {
      table[agent] = Object.fromEntries([...boots].map(([boot, seq]) => [String(boot), seq]))
    }
    return table
  }

  merge(table: PositionTable): void {
    for (const [agent, boots] of Object.entries(table)) {
      for (const [boot, seq] of Object.entries(boots)) this.set(agent, Number(boot), seq)
    }
  }
}
