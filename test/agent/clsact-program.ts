// SPDX-License-Identifier: Apache-2.0
//
// A program of its own, run inside a namespace: attaches the egress program to an interface and detaches it again, or
// leaves it there as a killed agent would.

import { loadFlowObject } from '@flowdam/agent'
import { attachEgress } from '@flowdam/agent/internal/attach/egress'
import { ifNameToIndex } from '@flowdam/agent/internal/kernel/libbpf'

const [name = '', how] = process.argv.slice(2)
const { object } = loadFlowObject({
  path: process.env['FLOWDAM_BPF_OBJECT'],
  flowSlots: 1024,
  programs: ['flowdam_tc'],
})
const target = { name, ifindex: ifNameToIndex(name) }
const attachment = attachEgress(object.program('flowdam_tc').fd, target, { tcx: how === 'tcx' })
if (how !== 'leave') attachment.detach()
object.close()
