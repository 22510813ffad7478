// SPDX-License-Identifier: Apache-2.0
import { type Finding, note, ok, problem } from './finding.js'
import { atLeast, type KernelVersion } from './kernel-version.js'
import type { Sources } from './sources.js'

const SONAME = 'libbpf.so.1'
/** Debian's, Fedora's and the others' library folders, when ldconfig cannot be asked. */
const FOLDERS = [
  '/usr/lib/x86_64-linux-gnu',
  '/usr/lib/aarch64-linux-gnu',
  '/lib/x86_64-linux-gnu',
  '/lib/aarch64-linux-gnu',
  '/usr/lib64',
  '/lib64',
  '/usr/local/lib',
  '/usr/lib',
]

/** The library through which the agent loads its programs. */
export async function checkLibbpf(sources: Sources, kernel: KernelVersion | undefined): Promise<Finding[]> {
  const path = await findLibrary(sources)
  if (path === undefined) {
    return [
      problem(
        'libbpf.missing',
        `${SONAME} is not installed: the agent cannot load its programs`,
        'apt-get install libbpf1',
      ),
    ]
  }
  const version = /\.so\.(\d+\.\d+)(?:\.\d+)?$/.exec(sources.link(path) ?? '')?.[1]
  const findings = [ok('libbpf.found', `libbpf ${version ?? '1'} (${path})`)]
  // bpf_program__attach_tcx came with libbpf 1.3.
  if (version !== undefined && isOlder(version, '1.3') && kernel && atLeast(kernel, '6.6')) {
    findings.push(
      note(
        'libbpf.tcx',
        `libbpf ${version} does not know TCX (1.3 does): outgoing traffic is counted by a clsact filter`,
      ),
    )
  }
  return findings
}

async function findLibrary(sources: Sources): Promise<string | undefined> {
  const cache = await sources.run('ldconfig', '-p')
  const cached = new RegExp(`${SONAME.replaceAll('.', '\\.')} .*=> (\\S+)`).exec(cache ?? '')?.[1]
  if (cached !== undefined) return cached
  const folder = FOLDERS.find((candidate) => sources.list(candidate).includes(SONAME))
  return folder === undefined ? undefined : `${folder}/${SONAME}`
}

function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [wantedMajor = 0, wantedMinor = 0] = than.split('.').map(Number)
  return major < wantedMajor || (major === wantedMajor && minor < wantedMinor)
}
