// SPDX-License-Identifier: Apache-2.0
//
// A Debian kernel package: fetched and unpacked, not installed.
import { existsSync, mkdirSync, readdirSync, realpathSync, rmSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { ROOT, run, SetupError } from '../setup/run.mjs'

const KERNELS = join(ROOT, 'build', 'kernels')

/** `{ folder, release }` of a package's name or of a .deb file; `folder` has boot/ and lib/modules/. */
export function unpackKernel(kernel) {
  const isFile = kernel.endsWith('.deb')
  if (isFile && !existsSync(kernel)) throw new SetupError(`there is no file ${kernel}`)
  const folder = join(KERNELS, isFile ? basename(kernel, '.deb') : kernel)
  if (!existsSync(folder)) {
    mkdirSync(KERNELS, { recursive: true })
    const file = isFile ? resolve(kernel) : download(kernel)
    // A half unpacked one must not look whole.
    const partial = `${folder}.partial`
    rmSync(partial, { recursive: true, force: true })
    run('dpkg-deb', ['-x', file, partial])
    if (!isFile) rmSync(file)
    run('mv', [partial, folder])
  }
  // The path as the virtual machine's first root sees it, where no link of ours leads anywhere.
  return { folder: realpathSync(folder), release: releaseOf(folder) }
}

function download(name) {
  const debs = () =>
    readdirSync(KERNELS).filter((file) => file.startsWith(`${name}_`) && file.endsWith('.deb'))
  if (debs().length === 0) run('apt-get', ['download', name], { cwd: KERNELS })
  return join(KERNELS, debs()[0])
}

function releaseOf(folder) {
  const modules = join(folder, 'lib', 'modules')
  const [release] = existsSync(modules) ? readdirSync(modules) : []
  if (release === undefined || !existsSync(join(folder, 'boot', `vmlinuz-${release}`))) {
    throw new SetupError(
      `${folder} has no kernel with its modules: is it a linux-image package, and not a meta-package?`,
    )
  }
  // Without it modprobe finds nothing, here or in the virtual machine.
  if (!existsSync(join(modules, release, 'modules.dep'))) run('depmod', ['-b', folder, release])
  return release
}
