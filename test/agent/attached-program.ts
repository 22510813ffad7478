// SPDX-License-Identifier: Apache-2.0
//
// A program of its own, run inside a namespace: prints what is attached to an interface there. bpftool before 7.3 does
// not know TCX, so the kernel is asked directly.
import { execFileSync } from 'node:child_process'
import {
  AttachType,
  ifNameToIndex,
  programNameById,
  programsAt,
  xdpQuery,
} from '@flowdam/agent/internal/kernel/libbpf'

export interface Attached {
  xdp: 'native' | 'generic' | 'none'
  /** Names of the programs on the TCX egress hook. */
  tcx: string[]
  /** Names of the programs of clsact egress filters. */
  filters: string[]
  clsact: boolean
}

const name = process.argv[2] ?? ''
const ifindex = ifNameToIndex(name)
const xdp = xdpQuery(ifindex)
if (typeof xdp === 'number') throw new Error(`no XDP state of ${name}: ${xdp}`)
const tc = (...args: string[]) => execFileSync('tc', args, { encoding: 'utf8' })
const clsact = tc('qdisc', 'show', 'dev', name).includes('clsact')
const filters = clsact
  ? [...tc('filter', 'show', 'dev', name, 'egress').matchAll(/handle 0x\w+ ([\w.]+)/g)].map(
      ([, program]) => program ?? '',
    )
  : []
const attached: Attached = {
  xdp: xdp.driverId ? 'native' : xdp.genericId ? 'generic' : 'none',
  tcx: programsAt(ifindex, AttachType.tcxEgress).map((id) => programNameById(id) ?? ''),
  filters,
  clsact,
}
process.stdout.write(JSON.stringify(attached))
