// SPDX-License-Identifier: Apache-2.0
import { exactDuration, formatHostPort, type HostPort, type Prefix } from '@flowdam/common'
import type { AggregatorConfig } from './schema.js'

/**
 * Plain values for printing: prefixes and addresses as text, secrets hidden; for others than who can read the file,
 * also where secrets are often put: the environments of hooks, and what a URL has beside its host. The URL of a chat's
 * webhook is a secret as a whole.
 */
export function presentConfig(config: AggregatorConfig, reader: 'owner' | 'others' = 'owner'): unknown {
  const shown = plain(config, [], true)
  return reader === 'owner' ? shown : withoutMaybeSecrets(shown, '')
}

function withoutMaybeSecrets(value: unknown, key: string): unknown {
  if (Array.isArray(value)) return value.map((item) => withoutMaybeSecrets(item, key))
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [
        name,
        key === 'env' ? '(hidden)' : withoutMaybeSecrets(item, name),
      ]),
    )
  }
  if (key !== 'url' || typeof value !== 'string' || !URL.canParse(value)) return value
  const url = new URL(value)
  const bare = url.pathname + url.username + url.password + url.search + url.hash === '/'
  return bare ? value : `${url.origin}/ (the rest hidden)`
}

const DURATIONS = new Set([
  'window',
  'learn',
  'duration',
  'max_duration',
  'hold_off',
  'timeout',
  'backoff',
  'retry_every',
  'updates',
  'quiet',
  'retention',
  'retention_minutes',
  'retention_hours',
  'fsync_interval',
  'segment_age',
  'detect_interval',
  'export_interval',
])

function plain(value: unknown, path: readonly string[], hiding: boolean): unknown {
  const key = path.at(-1) ?? ''
  if (hiding && (key === 'password' || path.at(-2) === 'headers')) return '(hidden)'
  if (typeof value === 'number' && DURATIONS.has(key)) return exactDuration(value)
  if (Array.isArray(value)) return value.map((item, index) => plain(item, [...path, String(index)], hiding))
  if (isPrefix(value)) return value.text
  if (isHostPort(value)) return formatHostPort(value)
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [name, plain(item, [...path, name], hiding)]),
    )
  }
  if (value === null) return 'off'
  return value
}

function isPrefix(value: unknown): value is Prefix {
  return typeof value === 'object' && value !== null && 'text' in value && 'bytes' in value
}

function isHostPort(value: unknown): value is HostPort {
  return typeof value === 'object' && value !== null && 'host' in value && 'port' in value
}

/**
 * `key: old → new` for each value that differs; empty when nothing does. It goes to logs and to callers of the API: of a
 * secret it says only that it is another one.
 */
export function diffConfig(before: AggregatorConfig, after: AggregatorConfig): string[] {
  const raw = (config: AggregatorConfig) => flatten(plain(config, [], false))
  const shown = (config: AggregatorConfig) => flatten(presentConfig(config, 'others'))
  const [rawBefore, rawAfter, shownBefore, shownAfter] = [
    raw(before),
    raw(after),
    shown(before),
    shown(after),
  ]
  const lines: string[] = []
  for (const key of [...new Set([...rawBefore.keys(), ...rawAfter.keys()])].sort()) {
    if (rawBefore.get(key) === rawAfter.get(key)) continue
    const old = shownBefore.get(key)
    const now = shownAfter.get(key)
    if (old === undefined) lines.push(`${key}: added ${now}`)
    else if (now === undefined) lines.push(`${key}: removed (was ${old})`)
    else lines.push(old === now ? `${key}: changed ${old}` : `${key}: ${old} → ${now}`)
  }
  return lines
}

function flatten(value: unknown, prefix = '', into = new Map<string, string>()): Map<string, string> {
  if (typeof value === 'object' && value !== null) {
    for (const [name, item] of Object.entries(value)) {
      // Hostgroups and hooks by name: moving one in the list is no change.
      const label =
        Array.isArray(value) && typeof item === 'object' && item !== null && 'name' in item
          ? String(item.name)
          : name
      flatten(item, prefix === '' ? label : `${prefix}.${label}`, into)
    }
  } else into.set(prefix, String(value))
  return into
}
