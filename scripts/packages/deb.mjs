// SPDX-License-Identifier: Apache-2.0
//
// From the description of a package to a .deb, by dpkg-deb.
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { output, ROOT, run } from '../setup/run.mjs'

const MAINTAINER = 'The Flowdam developers <maintainers@flowdam.invalid>'

/** Writes `NAME_VERSION_ARCHITECTURE.deb` into the folder and returns its path. */
export function buildDeb(one, folder) {
  const tree = mkdtempSync(join(tmpdir(), 'flowdam-deb-'))
  try {
    chmodSync(tree, 0o755)
    for (const { from, to, mode, only } of one.files) {
      const target = join(tree, to)
      mkdirSync(dirname(target), { recursive: true })
      cpSync(join(ROOT, from), target, {
        recursive: true,
        verbatimSymlinks: true,
        filter: only ?? (() => true),
      })
      if (mode !== undefined) chmodSync(target, mode)
    }
    for (const { at, to } of one.links) {
      mkdirSync(dirname(join(tree, at)), { recursive: true })
      symlinkSync(to, join(tree, at))
    }
    // Whoever builds may have another umask than the machine that it runs on.
    run('chmod', ['-R', 'u+rwX,go+rX,go-w', join(tree, 'usr')])
    writeControl(one, tree)
    const file = join(folder, `${one.name}_${one.version}_${one.architecture}.deb`)
    // Quick rather than small: the database's library is 540 MB.
    run('dpkg-deb', ['--root-owner-group', '-Zzstd', '-z3', '--build', tree, file])
    return file
  } finally {
    rmSync(tree, { recursive: true })
  }
}

function writeControl(one, tree) {
  const control = join(tree, 'DEBIAN')
  mkdirSync(control)
  const kilobytes = output('du', ['-sk', '--exclude=DEBIAN', tree])?.split('\t')[0] ?? '0'
  const fields = {
    Package: one.name,
    Version: one.version,
    Architecture: one.architecture,
    Maintainer: MAINTAINER,
    'Installed-Size': kilobytes,
    Depends: one.depends.join(', '),
    Recommends: one.recommends?.join(', '),
    Section: 'net',
    Priority: 'optional',
    Description: `Flowdam: ${one.summary}\n Flowdam counts every flow at a network's edge, blackholes what is under attack and\n keeps every flow in ClickHouse.`,
  }
  const lines = Object.entries(fields).filter(([, value]) => value !== undefined)
  writeFileSync(join(control, 'control'), `${lines.map(([name, value]) => `${name}: ${value}`).join('\n')}\n`)
  // An upgrade keeps what the operator changed.
  if (one.configuration.length > 0)
    writeFileSync(join(control, 'conffiles'), `${one.configuration.join('\n')}\n`)
  for (const script of one.scripts ? ['postinst', 'prerm', 'postrm'] : []) {
    cpSync(join(ROOT, 'deploy', 'debian', `${one.scripts}.${script}`), join(control, script))
    chmodSync(join(control, script), 0o755)
  }
}
