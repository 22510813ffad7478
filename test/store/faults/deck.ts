// SPDX-License-Identifier: Apache-2.0

/** 0 … 1, the same for the same seed. */
export function makeRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

/** `count` of these in an order of chance, each as often as any other, or once more. */
export function deal<T>(kinds: readonly T[], count: number, random: () => number): T[] {
  const cards = Array.from({ length: count }, (_, index) => kinds[index % kinds.length] as T)
  for (let last = cards.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1))
    const card = cards[last] as T
    cards[last] = cards[other] as T
    cards[other] = card
  }
  return cards
}
