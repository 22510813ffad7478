// SPDX-License-Identifier: Apache-2.0
import { FlowdamError } from '@flowdam/common'
import * as libbpf from '../kernel/libbpf.js'
import { kernelAtLeast } from '../kernel/requirements.js'
import type { LinkPin } from './link-pin.js'

/** By it a filter that a killed agent left behind is recognised. */
const PROGRAM_NAME = 'flowdam_tc'
const HANDLE = 0xf10d
/** Early, so that no other filter's verdict comes first. Where 1 is taken by another kind of filter, the next. */
const PRIORITIES = [1, 2, 3, 4]

export interface EgressAttachment {
  by: 'tcx' | 'clsact'
  /** The link's fd; -1 for clsact, which has none. */
  linkFd: number
  detach(): void
  /** Ours no more, but counting: for a pinned link and for a filter. */
  release(): void
}

export interface EgressTarget {
  name: string
  ifindex: number
}

/**
 * Attaches a loaded TC program where packets leave. TCX (Linux 6.6) by bpf_link, which ends with this process; the
 * raw attach type needs nothing newer of libbpf. Before that by a clsact filter, which outlives a killed process: the
 * next start recognises it by handle and program name, and replaces it. FD_TC_ATTACH.
 */
export function attachEgress(
  programFd: number,
  target: EgressTarget,
  { tcx = kernelAtLeast('6.6'), pin }: { tcx?: boolean; pin?: LinkPin | undefined } = {},
): EgressAttachment {
  if (tcx) {
    const there = libbpf.programsAt(target.ifindex, libbpf.AttachType.tcxEgress)
    const adopted = pin?.adopt(target.ifindex, programFd, (id) => there.includes(id))
    if (adopted) return byLink(adopted.linkFd, pin)

    // A filter of ours from before, should the kernel have been older or TCX refused: it would count twice.
    removeLeftover(target.ifindex)
    const linkFd = libbpf.linkCreate(programFd, target.ifindex, libbpf.AttachType.tcxEgress, 0)
    if (linkFd >= 0) {
      pin?.keep(linkFd)
      return byLink(linkFd, pin)
    }
    const error = libbpf.errorName(linkFd)
    if (error === 'ENODEV') throw gone(target)
    if (error === 'EPERM') throw refused(target, error)
  }
  return attachClsact(programFd, target)
}

function byLink(linkFd: number, pin: LinkPin | undefined): EgressAttachment {
  const release = () => void libbpf.closeFd(linkFd)
  const detach = () => {
    pin?.remove()
    release()
  }
  return { by: 'tcx', linkFd, detach, release }
}

function attachClsact(programFd: number, { name, ifindex }: EgressTarget): EgressAttachment {
  const created = libbpf.tcHookCreate(ifindex)
  const error = libbpf.errorName(created)
  if (created < 0 && error !== 'EEXIST') {
    throw error === 'ENODEV' ? gone({ name, ifindex }) : refused({ name, ifindex }, error)
  }
  let last = ''
  for (const priority of PRIORITIES) {
    const filter = { handle: HANDLE, priority }
    const status = libbpf.tcAttach(ifindex, programFd, filter, isOurs(ifindex, filter))
    if (status < 0) {
      last = libbpf.errorName(status)
      continue
    }
    return {
      by: 'clsact',
      linkFd: -1,
      release: () => {},
      detach: () => {
        libbpf.tcDetach(ifindex, filter)
        // The qdisc only if it was we who made it: others may have filters on it.
        if (created >= 0) libbpf.tcHookDestroy(ifindex)
      },
    }
  }
  if (created >= 0) libbpf.tcHookDestroy(ifindex)
  throw refused({ name, ifindex }, last)
}

/** Takes away a clsact filter that a killed agent left. */
export function removeLeftover(ifindex: number): void {
  for (const priority of PRIORITIES) {
    const filter = { handle: HANDLE, priority }
    if (isOurs(ifindex, filter)) libbpf.tcDetach(ifindex, filter)
  }
}

function isOurs(ifindex: number, filter: libbpf.TcFilter): boolean {
  const { result: id } = libbpf.withMessages(() => libbpf.tcQuery(ifindex, filter))
  return id > 0 && libbpf.programNameById(id) === PROGRAM_NAME
}

function gone({ name }: EgressTarget): FlowdamError {
  return new FlowdamError('FD_INTERFACE_MISSING', `interface ${name} is gone`)
}

function refused({ name }: EgressTarget, error: string): FlowdamError {
  return new FlowdamError('FD_TC_ATTACH', `cannot count what leaves through ${name}: ${error}`, {
    remedy: 'the kernel needs CONFIG_NET_CLS_ACT and CONFIG_NET_CLS_BPF; or use `direction: ingress`',
  })
}
