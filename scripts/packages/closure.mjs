// SPDX-License-Identifier: Apache-2.0
//
// Which modules each workspace needs when it runs, and which package carries them.
import { relative } from 'node:path'
import { output, ROOT, SetupError } from '../setup/run.mjs'

/** Types only: nothing that runs needs them. */
const UNUSED = /(^|\/)node_modules\/(@types\/|undici-types$)/

/** Folders of installed modules, relative to the root, that a workspace and what it needs consist of; ours left out. */
function modulesOf(workspace) {
  const listing = output('npm', [
    ...['ls', '-w', `@flowdam/${workspace}`, '--omit=dev', '--all', '--parseable'],
  ])
  if (listing === undefined) throw new SetupError('npm ls: dependencies are missing; run: npm run setup')
  return listing
    .split('\n')
    .map((path) => relative(ROOT, path))
    .filter((path) => path.includes('node_modules/') && !path.includes('@flowdam/') && !UNUSED.test(path))
}

/**
 * `{ shared, agent, aggregator, ctl, embedded }`: disjoint lists. What two of them need is shared; chdb and what only it
 * brings is a package of its own, since its library is 540 MB.
 */
export function moduleSets() {
  const needs = { agent: modulesOf('agent'), aggregator: modulesOf('aggregator'), ctl: modulesOf('ctl') }
  const embedded = needs.aggregator.filter((path) =>
    /(^|\/)(chdb|@chdb|node-gyp-build|node-addon-api)(\/|$)/.test(path),
  )
  needs.aggregator = needs.aggregator.filter((path) => !embedded.includes(path))
  const basic = new Set([...modulesOf('common'), ...modulesOf('proto')])
  const count = new Map()
  for (const path of Object.values(needs).flat()) count.set(path, (count.get(path) ?? 0) + 1)
  const isShared = (path) => basic.has(path) || (count.get(path) ?? 0) > 1
  const own = (paths) => paths.filter((path) => !isShared(path))
  return {
    shared: [...new Set([...basic, ...Object.values(needs).flat().filter(isShared)])],
    agent: own(needs.agent),
    aggregator: own(needs.aggregator),
    ctl: own(needs.ctl),
    embedded,
  }
}
