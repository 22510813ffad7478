// SPDX-License-Identifier: Apache-2.0

/** {agent: {bootId: newest seq}}, as a sidecar's header holds it. */
export type PositionTable = Record<string, Record<string, number>>

/** A boot that has not sent since this many others of its agent did is forgotten. */
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
    if (known !== undefined && seq <= known) return
    // Newest last, by when it sent: a boot_id is a time, and the agent's clock may have been set back.
    if (known !== undefined) boots.delete(boot)
    boots.set(boot, seq)
    const [oldest] = boots.keys()
    if (boots.size > BOOTS_PER_AGENT && oldest !== undefined) boots.delete(oldest)
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
