// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto'

const SEED = new Uint32Array(new Uint8Array(randomBytes(16)).buffer)

/** 32 bits of four words, with a seed of this process: a flood cannot aim its sources at one place of a table. */
export function hashWords(w0: number, w1: number, w2: number, w3: number): number {
  let h = Math.imul(w3 ^ (SEED[0] as number), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 15) ^ w2 ^ (SEED[1] as number), 0xc2b2ae35)
  h = Math.imul(h ^ (h >>> 16) ^ w1 ^ (SEED[2] as number), 0x27d4eb2f)
  h = Math.imul(h ^ (h >>> 15) ^ w0 ^ (SEED[3] as number), 0x9e3779b1)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  return (h ^ (h >>> 13)) >>> 0
}
