#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
//
// Do the links of our pages lead somewhere? Files and headings in the checkout; what is on the web is not asked for.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { ROOT } from '../setup/run.mjs'

// A link's text may be code, and go over two lines.
const LINK = /\[[^\]]*\]\(([^()\s]+(?:\([^()\s]*\))?)(?:\s+"[^"]*")?\)/g
const ELSEWHERE = /^[a-z]+:/

const pages = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'], {
  cwd: ROOT,
  encoding: 'utf8',
})
  .split('\n')
  .filter((page) => page !== '' && existsSync(join(ROOT, page)))

const complaints = pages.flatMap(inPage)
for (const complaint of complaints) process.stderr.write(`${complaint}\n`)
if (complaints.length > 0) process.exit(1)
process.stdout.write(`the links of ${pages.length} pages lead somewhere\n`)

function inPage(page) {
  const text = linesOf(page)
    .join('\n')
    .replace(/`[^`\n]*`/g, (code) => ' '.repeat(code.length))
  return [...text.matchAll(LINK)].flatMap(({ 1: target, index }) => {
    if (ELSEWHERE.test(target)) return []
    const [path, anchor] = target.split('#')
    const file = path === '' ? page : normalize(join(dirname(page), path))
    const where = `${page}:${text.slice(0, index).split('\n').length}: ${target}:`
    if (!existsSync(join(ROOT, file))) return [`${where} no such file`]
    if (anchor && file.endsWith('.md') && !anchorsOf(file).has(anchor)) return [`${where} no such heading`]
    return []
  })
}

/** A page's lines; those of code blocks are empty. */
function linesOf(page) {
  let inCode = false
  return readFileSync(join(ROOT, page), 'utf8')
    .split('\n')
    .map((line) => {
      const fence = /^\s*(```|~~~)/.test(line)
      if (fence) inCode = !inCode
      return fence || inCode ? '' : line
    })
}

/** As GitHub makes them: lower case, punctuation dropped, spaces to hyphens, repeated ones numbered. */
function anchorsOf(page) {
  const seen = new Map()
  const anchors = new Set()
  for (const line of linesOf(page)) {
    const heading = /^#{1,6}\s+(.*?)\s*#*$/.exec(line)
    for (const [, id] of line.matchAll(/<a (?:id|name)="([^"]+)"/g)) anchors.add(id)
    if (!heading) continue
    const text = heading[1].replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/[`*]/g, '')
    const slug = text
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M}\s_-]/gu, '')
      .replace(/\s/g, '-')
    const repeats = seen.get(slug) ?? 0
    seen.set(slug, repeats + 1)
    anchors.add(repeats === 0 ? slug : `${slug}-${repeats}`)
  }
  return anchors
}
