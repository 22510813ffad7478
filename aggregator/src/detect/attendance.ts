// SPDX-License-Identifier: Apache-2.0

/** An agent that left is missed for so long; then it is taken for gone. */
const MISSED_MS = 86_400_000
/** Agents say something every second at least. */
const SILENT_MS = 15_000

/** Who should be sending and does not: traffic that is seen in part is nothing to learn from. */
export class Attendance {
  readonly #away = new Map<string, number>()
  #lastMessageAt: number | undefined

  message(agentId: string, now: number): void {
    this.#lastMessageAt = now
    this.#away.delete(agentId)
  }

  left(agentId: string, now: number): void {
    this.#away.set(agentId, now)
  }

  /** Whether all traffic is seen. */
  complete(now: number): boolean {
    for (const [agent, since] of this.#away) if (now - since > MISSED_MS) this.#away.delete(agent)
    return (
      this.#away.size === 0 && this.#lastMessageAt !== undefined && now - this.#lastMessageAt <= SILENT_MS
    )
  }
}
