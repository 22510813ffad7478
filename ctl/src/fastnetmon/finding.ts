// SPDX-License-Identifier: Apache-2.0

/** What became of a line of FastNetMon's files. */
export const VERDICTS = [
  'missing', // there is nothing like it here
  'changed', // taken over, and something about it differs
  'ignored', // FastNetMon itself takes no notice of the line
  'translated', // in our files, with the same effect
  'irrelevant', // needs no counterpart
] as const
export type Verdict = (typeof VERDICTS)[number]

export interface Finding {
  file: string
  line: number
  /** The key, or the line of a list. */
  key: string
  value: string
  verdict: Verdict
  /** What it means, in a sentence. */
  text: string
}

/** A verdict and its reason, before it is known for which line. */
export type Fate = Pick<Finding, 'verdict' | 'text'>

export const missing = (text: string): Fate => ({ verdict: 'missing', text })
export const changed = (text: string): Fate => ({ verdict: 'changed', text })
export const ignored = (text: string): Fate => ({ verdict: 'ignored', text })
export const translated = (text: string): Fate => ({ verdict: 'translated', text })
export const irrelevant = (text: string): Fate => ({ verdict: 'irrelevant', text })
