// SPDX-License-Identifier: Apache-2.0
//
// Rates as 16 bits: a profile has hundreds of them. Logarithmic, so that the error is the same share of every rate.

/** Nothing known, as opposed to no traffic (0). */
export const UNKNOWN = 0xffff
export const LARGEST = 0xfffe
/** From one a second to a petabit. */
const LARGEST_RATE = 1e15
const STEP = Math.log(LARGEST_RATE) / (LARGEST - 1)

/** What a rate may be off by when it comes back, as a share of it: 0.027 %. */
export const CODE_ERROR = Math.exp(STEP / 2) - 1

/** Less than one a second is none. */
export function encodeRate(rate: number): number {
  if (!(rate >= 1)) return 0
  return Math.min(LARGEST, 1 + Math.round(Math.log(rate) / STEP))
}

/** What is added to the code of a rate that becomes so many times as large. */
export function codeSteps(times: number): number {
  return Math.round(Math.log(times) / STEP)
}

export function decodeRate(code: number): number {
  return code === 0 ? 0 : Math.exp((code - 1) * STEP)
}
