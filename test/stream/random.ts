// SPDX-License-Identifier: Apache-2.0

/** mulberry32: a seed gives the same numbers again. Returns a number from 0 up to `below`, whole. */
export function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

/** As many as asked for, each kind as often as the others, in random order. */
export function shuffledKinds<T>(kinds: readonly T[], count: number, next: (below: number) => number): T[] {
  const deck = Array.from({ length: count }, (_, i) => kinds[i % kinds.length] as T)
  for (let i = deck.length - 1; i > 0; i--) {
    const j = next(i + 1)
    const [a, b] = [deck[i] as T, deck[j] as T]
    deck[i] = b
    deck[j] = a
  }
  return deck
}
