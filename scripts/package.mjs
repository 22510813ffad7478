#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
//
// Debian packages of what is built here.
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { packages } from './packages/contents.mjs'
import { buildDeb } from './packages/deb.mjs'
import { output, ROOT, SetupError } from './setup/run.mjs'

const HELP = `npm run package [-- [NAME…] [--out DIR] [--version VERSION]]

Builds Debian packages from the build (npm run build): flowdam-common, flowdam-agent, flowdam-aggregator,
flowdam-embedded-store (ClickHouse in process, large), flowdam (the command). Needs dpkg-deb, not root.

  NAME               these only (default: all)
  --out DIR          where they go (default: build/packages)
  --version VERSION  instead of the one in common/package.json
  --help             this text
`

function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { out: { type: 'string' }, version: { type: 'string' }, help: { type: 'boolean' } },
  })
  if (values.help) return process.stdout.write(HELP)
  if (!existsSync(join(ROOT, 'build', 'flowdam.bpf.o'))) {
    throw new SetupError('there is no build/flowdam.bpf.o; build first: npm run setup')
  }
  const architecture = output('dpkg', ['--print-architecture'])?.trim()
  if (!architecture) throw new SetupError('there is no dpkg; Debian packages are built on Debian')
  const own = JSON.parse(readFileSync(join(ROOT, 'common', 'package.json'), 'utf8'))
  const all = packages({ version: values.version ?? own.version, architecture })
  const unknown = positionals.find((name) => !all.some((one) => one.name === name))
  if (unknown)
    throw new SetupError(
      `no package is called ${unknown}; there are ${all.map(({ name }) => name).join(', ')}`,
    )
  const folder = resolve(values.out ?? join(ROOT, 'build', 'packages'))
  mkdirSync(folder, { recursive: true })
  for (const one of all.filter(({ name }) => positionals.length === 0 || positionals.includes(name))) {
    const file = buildDeb(one, folder)
    process.stdout.write(`${relative(process.cwd(), file)}  ${(statSync(file).size / 1e6).toFixed(1)} MB\n`)
  }
}

try {
  main()
} catch (error) {
  const said = error instanceof SetupError || error?.code?.startsWith('ERR_PARSE_ARGS')
  process.stderr.write(`package: ${said ? error.message : error?.stack}\n`)
  process.exitCode = said ? 2 : 1
}
