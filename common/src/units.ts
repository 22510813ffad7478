// SPDX-License-Identifier: Apache-2.0
import { z } from 'zod'
import { FlowdamError } from './errors.js'

const DECIMAL: Record<string, number> = { '': 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 }
const BINARY: Record<string, number> = { ki: 1024, mi: 1024 ** 2, gi: 1024 ** 3, ti: 1024 ** 4 }
const TIME_MS: Record<string, number> = { ms: 1, s: 1e3, m: 60e3, h: 3600e3, d: 86400e3 }

function unitError(what: string, text: string, examples: string): FlowdamError {
  return new FlowdamError('FD_UNIT_INVALID', `'${text}' is not ${what}; write for instance ${examples}`)
}

/** A rate or count: `20k`, `1.5M`, `1G`, `50000`; decimal multiples. Negative numbers are refused. */
export function parseRate(input: string | number): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)\s*$/i.exec(String(input))
  if (!match) throw unitError('a rate', String(input), '20k, 1.5M or 1G')
  return Number(match[1]) * (DECIMAL[(match[2] ?? '').toLowerCase()] ?? 1)
}

/** A size in bytes: `1G` and `1GB` are 10^9, `1Gi` and `1GiB` are 2^30. */
export function parseSize(input: string | number): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?\s*$/i.exec(String(input))
  const unit = (match?.[2] ?? '').toLowerCase()
  const factor = DECIMAL[unit] ?? BINARY[unit]
  if (!match || factor === undefined) throw unitError('a size', String(input), '512M, 1G or 4GiB')
  return Math.floor(Number(match[1]) * factor)
}

/** A time in milliseconds: `250ms`, `5s`, `30m`, `12h`, `15d`. A bare number is refused: its unit would be a guess. */
export function parseDuration(input: string | number): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*$/i.exec(String(input))
  if (!match) throw unitError('a time', String(input), '250ms, 5s, 30m, 12h or 15d')
  return Number(match[1]) * (TIME_MS[(match[2] ?? '').toLowerCase()] ?? 1)
}

/** `12.3k`, `1.20M`: three significant digits and a decimal prefix, then the unit if given. */
export function formatRate(value: number, unit = ''): string {
  const steps = ['', 'k', 'M', 'G', 'T', 'P']
  let scaled = Math.abs(value)
  let step = 0
  while (scaled >= 999.5 && step < steps.length - 1) {
    scaled /= 1000
    step++
  }
  const digits = step === 0 && Number.isInteger(scaled) ? 0 : scaled >= 99.95 ? 0 : scaled >= 9.995 ? 1 : 2
  const suffix = `${steps[step] ?? ''}${unit}`
  return `${value < 0 ? '-' : ''}${scaled.toFixed(digits)}${suffix === '' ? '' : ` ${suffix}`}`
}

/** `1.50 GiB`. */
export function formatBytes(bytes: number): string {
  const steps = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let scaled = bytes
  let step = 0
  while (scaled >= 1023.5 && step < steps.length - 1) {
    scaled /= 1024
    step++
  }
  return `${step === 0 ? scaled : scaled.toFixed(scaled >= 100 ? 0 : scaled >= 10 ? 1 : 2)} ${steps[step] ?? ''}`
}

/** `350 ms`, `4.2 s`, `12m 30s`, `3h 05m`, `2d 4h`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  const two = (value: number) => String(value).padStart(2, '0')
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${two(seconds % 60)}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 1440) return `${Math.floor(minutes / 60)}h ${two(minutes % 60)}m`
  return `${Math.floor(minutes / 1440)}d ${Math.floor((minutes % 1440) / 60)}h`
}

function unitType(parse: (input: string | number) => number) {
  return z.union([z.string(), z.number()]).transform((input, context) => {
    try {
      return parse(input)
    } catch (error) {
      context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) })
      return z.NEVER
    }
  })
}

/** zod types for configuration files. */
export const zRate = unitType(parseRate)
export const zSize = unitType(parseSize)
export const zDuration = unitType(parseDuration)

/** For configuration files: the largest unit that says it exactly. */
export function exactDuration(ms: number): string {
  for (const [unit, length] of [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
  ] as const) {
    if (ms > 0 && ms % length === 0) return `${ms / length}${unit}`
  }
  return `${ms}ms`
}
