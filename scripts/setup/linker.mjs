// SPDX-License-Identifier: Apache-2.0
//
// bpf-linker links LLVM bitcode into one BPF object. It comes as source from crates.io, so it needs cargo; where
// there is none, scripts/build-native.mjs links with `bpftool gen object`, which Debian has.
import { install, notInstalled, toolchain } from './packages.mjs'
import { output, run, which } from './run.mjs'

export function installLinker(announce) {
  const { major, linker, crate } = toolchain()
  const present = installedVersion()
  // An older linker cannot read the bitcode of a newer clang; a newer one can read older bitcode.
  if (present && compare(present, crate.version) >= 0) return `${present} is there`
  if (!which('cargo')) return 'no cargo here, bpftool links instead'
  const missing = notInstalled(linker)
  if (missing.length > 0) install(missing, announce)
  announce(`cargo install bpf-linker ${crate.version} for LLVM ${major} (70-80 s on two cores)`)
  const prefix = output(`llvm-config-${major}`, ['--prefix'])?.trim()
  run(
    'cargo',
    [
      'install',
      'bpf-linker',
      ...['--version', crate.version, '--locked', '--force', '--quiet'],
      ...['--no-default-features', '--features', crate.feature],
    ],
    { env: { [crate.prefixVariable]: prefix } },
  )
  return `${crate.version} installed`
}

function installedVersion() {
  const said = which('bpf-linker') && output('bpf-linker', ['--version'])
  return /(\d+\.\d+\.\d+)/.exec(said ?? '')?.[1]
}

function compare(left, right) {
  const [a, b] = [left, right].map((version) => version.split('.').map(Number))
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2]
}
