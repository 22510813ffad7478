// SPDX-License-Identifier: Apache-2.0
//
// Writes the reference part of docs/api.md from the protos and their comments. With --check it only says whether
// the page is up to date (exit status 1 if not), which a test does.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const PAGE = `${ROOT}/docs/api.md`
const BEGIN = '<!-- reference: written by scripts/api-reference.mjs from proto/flowdam/v1 -->'
const END = '<!-- end of reference -->'

// Field numbers of google/protobuf/descriptor.proto, of which source locations' paths are made.
const MESSAGE = 4
const ENUM = 5
const SERVICE = 6
const MEMBER = 2

const image = JSON.parse(
  execFileSync(`${ROOT}/node_modules/.bin/buf`, ['build', '-o', '-#format=json'], {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  }),
)
const reference = image.file
  .filter(({ name }) => name.startsWith('flowdam/'))
  .toSorted((a, b) => a.name.localeCompare(b.name))
  .map(describeFile)
  .join('\n')
const page = readFileSync(PAGE, 'utf8')
const [before, rest] = splitOnce(page, BEGIN)
const [, after] = splitOnce(rest, END)
const written = `${before}${BEGIN}\n\n${reference}\n${END}${after}`

if (process.argv.includes('--check')) {
  if (written !== page) {
    process.stderr.write('docs/api.md is not up to date: run node scripts/api-reference.mjs\n')
    process.exitCode = 1
  }
} else writeFileSync(PAGE, written)

function splitOnce(text, mark) {
  const at = text.indexOf(mark)
  if (at < 0) throw new Error(`docs/api.md lacks the line ${mark}`)
  return [text.slice(0, at), text.slice(at + mark.length)]
}

function describeFile(file) {
  const comments = new Map(
    file.sourceCodeInfo.location.map(({ path = [], leadingComments }) => [
      path.join('.'),
      leadingComments ?? '',
    ]),
  )
  const comment = (...path) => oneLine(comments.get(path.join('.')))
  const context = { comment, file }
  const services = (file.service ?? []).map((service, index) => describeService(service, index, context))
  const messages = (file.messageType ?? []).map((message, index) => describeMessage(message, index, context))
  const enums = (file.enumType ?? []).map((type, index) => describeEnum(type, index, context))
  return [`## ${file.name}\n`, ...services, ...enums, ...messages.filter((text) => text !== '')].join('\n')
}

function describeService(service, index, { comment }) {
  const rows = service.method.map((method, member) => [
    `**${method.name}**`,
    (method.clientStreaming ? 'stream of ' : '') + typeLink(method.inputType),
    (method.serverStreaming ? 'stream of ' : '') + typeLink(method.outputType),
    comment(SERVICE, index, MEMBER, member),
  ])
  return section(
    `### Service ${service.name}`,
    comment(SERVICE, index),
    ['call', 'request', 'response', ''],
    rows,
  )
}

function describeMessage(message, index, { comment }) {
  const fields = message.field ?? []
  const entries = new Map(
    (message.nestedType ?? []).filter(({ options }) => options?.mapEntry).map((type) => [type.name, type]),
  )
  const rows = fields.map((field, member) => [
    `\`${field.name}\``,
    fieldType(field, entries),
    comment(MESSAGE, index, MEMBER, member),
  ])
  const head = `### ${message.name}`
  if (rows.length === 0) return `${head}\n\nNo fields.\n`
  return section(head, comment(MESSAGE, index), ['field', 'type', ''], rows)
}

function describeEnum(type, index, { comment }) {
  const rows = type.value.map(({ name, number = 0 }, member) => [
    `\`${name}\``,
    String(number),
    comment(ENUM, index, MEMBER, member),
  ])
  return section(`### ${type.name}`, comment(ENUM, index), ['value', 'number', ''], rows)
}

function fieldType(field, entries) {
  const entry = entries.get(field.typeName?.split('.').at(-1))
  if (entry) return `map of ${entry.field.map((part) => fieldType(part, entries)).join(' to ')}`
  const name = field.typeName ? typeLink(field.typeName) : field.type.replace('TYPE_', '').toLowerCase()
  return field.label === 'LABEL_REPEATED' ? `list of ${name}` : name
}

function typeLink(fullName) {
  const name = fullName.split('.').at(-1)
  return `[${name}](#${name.toLowerCase()})`
}

function section(head, text, titles, rows) {
  const table = [titles, titles.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`)
  return `${[head, text, table.join('\n')].filter((part) => part !== '').join('\n\n')}\n`
}

/** A comment as one line of a table: a table within it (byte offsets) stays in the .proto, where it can be read. */
function oneLine(text = '') {
  const prose = text.split('\n\n').filter((paragraph) => !/^\s{2,}\S/m.test(paragraph))
  const line = prose.join(' ').replace(/\s+/g, ' ').trim()
  const cutShort = prose.length < text.split('\n\n').length ? ' (Layout: see the .proto.)' : ''
  return (line + cutShort).replaceAll('|', '\\|')
}
