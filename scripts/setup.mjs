#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
//
// Makes a bare clone ready to run: Debian packages, npm packages, bpf-linker, build. Only what is missing is done,
// so the second run takes seconds. No dependencies: it runs before `npm ci` does.
import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { buildSources } from './setup/build.mjs'
import { installLinker } from './setup/linker.mjs'
import { checkMachine } from './setup/machine.mjs'
import { installNodeModules } from './setup/node-modules.mjs'
import { installPackages } from './setup/packages.mjs'
import { SetupError } from './setup/run.mjs'
import { Steps } from './setup/steps.mjs'

const HELP = `npm run setup [-- --quiet]

Checks the machine, installs what is missing (Debian packages, npm packages, bpf-linker) and builds.
A package that brings a service of its own does not get it started.

  --quiet   one line at the end instead of the steps, unless something had to be done
  --help    this text
`

const STEPS = [
  ['machine: Node, root, Debian', checkMachine],
  ['Debian packages', installPackages],
  ['npm packages', installNodeModules],
  ['bpf-linker', installLinker],
  ['build', buildSources],
]

/** Runs every step; throws SetupError with a message for people. With `tests`, what only tests need is installed too. */
export async function setup({ quiet = false, tests = false } = {}) {
  const steps = new Steps(STEPS.length, quiet)
  for (const [title, work] of STEPS) await steps.run(title, (announce) => work(announce, { tests }))
  steps.finish()
}

/** For the commands that begin with a set-up: prints the error and ends the process when it fails. */
export async function setupOrExit(options) {
  try {
    await setup(options)
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    process.stderr.write(`\nsetup: ${error.message}\n`)
    process.exit(1)
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--help')) process.stdout.write(HELP)
  else await setupOrExit({ quiet: process.argv.includes('--quiet') })
}
