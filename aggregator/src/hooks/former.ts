// SPDX-License-Identifier: Apache-2.0
import { type Hook, isSameCommand } from './hook.js'

/** Changes of one hook that are remembered; an operator who tries things out must not fill the memory. */
const MOST = 16

interface Former {
  hook: Hook
  /** When a reload put another in its place, or none. */
  untilUnixMs: number
}

/** Hooks as they were before a reload took or changed them: what one of them announced, it can take back. */
export class FormerHooks {
  readonly #byName = new Map<string, Former[]>()

  /** A reload: returns the names of those that are new, or do something else now. */
  reload(before: readonly Hook[], after: readonly Hook[], nowUnixMs: number): string[] {
    for (const hook of before) {
      const now = after.find(({ name }) => name === hook.name)
      if (now && isSameCommand(hook, now)) continue
      const known = (this.#byName.get(hook.name) ?? []).filter((old) => !isSameCommand(old.hook, hook))
      this.#byName.set(hook.name, [...known, { hook, untilUnixMs: nowUnixMs }].slice(-MOST))
    }
    const fresh = after.filter(
      (hook) => !before.some((old) => old.name === hook.name && isSameCommand(old, hook)),
    )
    return fresh.map(({ name }) => name)
  }

  get names(): Iterable<string> {
    return this.#byName.keys()
  }

  /** What a ban of this time may have been announced by, other than `now`; the latest first. */
  of(name: string, bannedUnixMs: number, now: Hook | undefined): Hook[] {
    return (this.#byName.get(name) ?? [])
      .filter(({ hook, untilUnixMs }) => bannedUnixMs <= untilUnixMs && !(now && isSameCommand(hook, now)))
      .map(({ hook }) => hook)
      .reverse()
  }
}
