// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs'
import { type Document, isMap, isSeq, LineCounter, type Node, parseDocument, stringify } from 'yaml'
import type { z } from 'zod'
import { complaintOf } from './complaint.js'
import { FlowdamError } from './errors.js'
import { nearest } from './nearest.js'

/** A path into the file: keys and list positions. */
export type ConfigPath = readonly PropertyKey[]

/** A complaint about one place; semantic checks of a component add their own through `ConfigFile.error`. */
export interface ConfigIssue {
  path: ConfigPath
  message: string
}

/** A complaint with its place, both from 1. */
export interface ConfigComplaint {
  line: number
  column: number
  /** `hostgroups.0.window`; empty for the file as a whole. */
  path: string
  message: string
}

/** FD_CONFIG_INVALID, and each complaint for who shows them one by one. */
export class ConfigError extends FlowdamError {
  readonly complaints: readonly ConfigComplaint[]

  constructor(file: string, complaints: readonly ConfigComplaint[]) {
    const lines = complaints.map(({ line, column, path, message }) => {
      return `${file}:${line}:${column}: ${path === '' ? '' : `${path}: `}${message}`
    })
    super('FD_CONFIG_INVALID', lines.join('\n'))
    this.complaints = complaints
  }
}

/** A parsed file that still knows its lines, so that later checks can point at them. */
export class ConfigFile<T> {
  readonly file: string
  readonly config: T
  readonly #document: Document
  readonly #lines: LineCounter

  constructor(file: string, config: T, document: Document, lines: LineCounter) {
    this.file = file
    this.config = config
    this.#document = document
    this.#lines = lines
  }

  /** FD_CONFIG_INVALID with `file:line:column: key: message` for each issue. */
  error(issues: readonly ConfigIssue[]): ConfigError {
    return configError(this.file, this.#document, this.#lines, issues)
  }
}

/**
 * Reads a YAML file and checks it against a strict schema. Throws FD_CONFIG_UNREADABLE or FD_CONFIG_INVALID; the
 * latter lists every complaint with its place and, for an unknown key, the nearest known one.
 */
export function loadConfigFile<S extends z.ZodType>(file: string, schema: S): ConfigFile<z.output<S>> {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw new FlowdamError('FD_CONFIG_UNREADABLE', `cannot read the configuration file ${file}`, { cause })
  }
  return parseConfigText(file, text, schema)
}

/** loadConfigFile for who needs only the values. */
export function loadConfig<S extends z.ZodType>(file: string, schema: S): z.output<S> {
  return loadConfigFile(file, schema).config
}

/** The same for text that is already read; `file` is only for messages. */
export function parseConfigText<S extends z.ZodType>(
  file: string,
  text: string,
  schema: S,
): ConfigFile<z.output<S>> {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true })
  const broken = document.errors[0]
  if (broken) {
    const at = lines.linePos(broken.pos[0])
    // The parser's message goes on with the place and an excerpt.
    const message = broken.message.split('\n')[0]?.replace(/ at line \d+, column \d+:$/, '') ?? ''
    throw new ConfigError(file, [{ line: at.line, column: at.col, path: '', message }])
  }
  const value: unknown = document.toJS() ?? {}
  const result = schema.safeParse(value)
  if (result.success) return new ConfigFile(file, result.data, document, lines)
  const issues = result.error.issues.flatMap((issue) => explain(issue, value, schema))
  throw configError(file, document, lines, issues)
}

/** Plain values as the text of a configuration file. */
export function configText(values: unknown): string {
  return stringify(values)
}

function explain(issue: z.core.$ZodIssue, value: unknown, schema: z.ZodType): ConfigIssue[] {
  if (issue.code !== 'unrecognized_keys') {
    // A union reports one complaint for each member; the first that got beyond the type says what is wrong.
    if (issue.code === 'invalid_union') {
      const inner = issue.errors.flat().find((member) => member.code !== 'invalid_type')
      if (inner) return explain({ ...inner, path: [...issue.path, ...inner.path] }, value, schema)
    }
    return [{ path: issue.path, message: complaintOf(issue, valueAt(value, issue.path)) }]
  }
  const known = knownKeys(schema, issue.path)
  return issue.keys.map((key) => {
    const close = nearest(key, known)
    const hint = close
      ? `; did you mean '${close}'?`
      : known.length > 0
        ? `; known are ${known.join(', ')}`
        : ''
    return { path: [...issue.path, key], message: `unknown key${hint}` }
  })
}

function valueAt(value: unknown, path: ConfigPath): unknown {
  return path.reduce<unknown>(
    (inside, step) =>
      typeof inside === 'object' && inside !== null
        ? (inside as Record<PropertyKey, unknown>)[step]
        : undefined,
    value,
  )
}

interface SchemaShape {
  def: {
    type: string
    shape?: Record<string, unknown>
    element?: unknown
    innerType?: unknown
    in?: unknown
    out?: unknown
    options?: unknown[]
    valueType?: unknown
  }
}

/** Keys that the schema knows at a path; follows objects, arrays, records, unions and wrappers such as optional. */
function knownKeys(schema: unknown, path: ConfigPath): string[] {
  const def = (schema as SchemaShape | undefined)?.def
  if (!def) return []
  if (def.innerType) return knownKeys(def.innerType, path)
  // Of a pipe the end that has the shape: preprocess() begins with a function, transform() ends with one.
  if (def.in) return knownKeys((def.in as SchemaShape).def.type === 'transform' ? def.out : def.in, path)
  if (def.options) return def.options.flatMap((option) => knownKeys(option, path))
  const [step, ...rest] = path
  if (step === undefined) return Object.keys(def.shape ?? {})
  if (def.shape) return knownKeys(def.shape[String(step)], rest)
  return knownKeys(def.element ?? def.valueType, rest)
}

function configError(
  file: string,
  document: Document,
  lines: LineCounter,
  issues: readonly ConfigIssue[],
): ConfigError {
  const complaints = issues.map(({ path, message }) => {
    const { line, col: column } = position(document, lines, path)
    return { line, column, path: path.map(String).join('.'), message }
  })
  // In the order of the file: one mistake is often the cause of the next.
  return new ConfigError(
    file,
    complaints.sort((a, b) => a.line - b.line || a.column - b.column),
  )
}

/** Line and column of a path: of the key itself where there is one, else of the nearest thing around it. */
function position(document: Document, lines: LineCounter, path: ConfigPath): { line: number; col: number } {
  let node: unknown = document.contents
  let offset = (node as Node | null)?.range?.[0] ?? 0
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find(
        (item) => String((item.key as { value?: unknown } | null)?.value) === String(step),
      )
      if (!pair) break
      offset = (pair.key as Node).range?.[0] ?? offset
      node = pair.value
    } else if (isSeq(node)) {
      node = node.items[Number(step)]
      offset = (node as Node | undefined)?.range?.[0] ?? offset
    } else break
  }
  return lines.linePos(offset)
}
