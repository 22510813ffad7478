// SPDX-License-Identifier: Apache-2.0

/** Why a call was not let through. */
export const REFUSALS = [
  'unauthenticated', // no token or certificate, or one that is not known
  'role', // a role that may not
  'rate', // too many calls
  'open_calls', // too many at the same time
  'message_size', // a request beyond api.limits.message
  'malformed', // a request that protobuf could not read
] as const
export type RefusalReason = (typeof REFUSALS)[number]

/** What the gate counts; `flowdam_api_calls_total{method,status}`, `flowdam_api_refused_total{reason}`. */
export class ApiCounts {
  readonly #calls = new Map<string, Map<string, number>>()
  readonly #refused = new Map<RefusalReason, number>()
  open = 0

  call(method: string, status: string): void {
    const statuses = this.#calls.get(method) ?? new Map<string, number>()
    statuses.set(status, (statuses.get(status) ?? 0) + 1)
    this.#calls.set(method, statuses)
  }

  refuse(reason: RefusalReason): void {
    this.#refused.set(reason, this.refused(reason) + 1)
  }

  refused(reason: RefusalReason): number {
    return this.#refused.get(reason) ?? 0
  }

  *calls(): Iterable<[{ method: string; status: string }, number]> {
    for (const [method, statuses] of this.#calls) {
      for (const [status, count] of statuses) yield [{ method, status }, count]
    }
  }
}
