// SPDX-License-Identifier: Apache-2.0

/** From harmless to "Flowdam will not work, or not see packets, like this". */
export const SEVERITIES = ['ok', 'note', 'warning', 'problem'] as const

export type Severity = (typeof SEVERITIES)[number]

export interface Finding {
  severity: Severity
  /** Stable name of the check, `kernel.jit`, for scripts. */
  id: string
  /** What was found, in one sentence. */
  text: string
  /** What mends it: a command where there is one. */
  remedy?: string
}

/** What was looked at together: the machine, or one interface. */
export interface Section {
  name: string
  findings: Finding[]
}

export function worstOf(findings: readonly Finding[]): Severity {
  return findings.reduce<Severity>(
    (worst, { severity }) => (SEVERITIES.indexOf(severity) > SEVERITIES.indexOf(worst) ? severity : worst),
    'ok',
  )
}

export function ok(id: string, text: string): Finding {
  return { severity: 'ok', id, text }
}

export function note(id: string, text: string, remedy?: string): Finding {
  return { severity: 'note', id, text, ...(remedy !== undefined && { remedy }) }
}

export function warning(id: string, text: string, remedy?: string): Finding {
  return { severity: 'warning', id, text, ...(remedy !== undefined && { remedy }) }
}

export function problem(id: string, text: string, remedy?: string): Finding {
  return { severity: 'problem', id, text, ...(remedy !== undefined && { remedy }) }
}
