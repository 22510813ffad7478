// SPDX-License-Identifier: Apache-2.0
import { FlowdamError } from '@flowdam/common'
import * as libbpf from '../kernel/libbpf.js'
import type { LinkPin } from './link-pin.js'

/** How the configuration asks for it. */
export type AttachWish = 'auto' | 'native' | 'generic'
/** How it is. */
export type XdpMode = 'native' | 'generic'

export interface XdpAttachment {
  /** Its end, even by kill -9, detaches the program, unless it is pinned. */
  linkFd: number
  mode: XdpMode
  /** Why it is not native though that was tried: an error name. */
  fellBack?: string
}

export interface XdpTarget {
  name: string
  ifindex: number
}

/**
 * Attaches a loaded XDP program by bpf_link: in the driver first, else in the generic hook. FD_XDP_BUSY names the
 * program that is there already, FD_XDP_NATIVE and FD_XDP_ATTACH say what the kernel answered.
 */
export function attachXdp(
  programFd: number,
  target: XdpTarget,
  wish: AttachWish,
  pin?: LinkPin,
): XdpAttachment {
  const adopted = pin && adoptXdp(programFd, target, wish, pin)
  if (adopted) return adopted
  const attached = attachNew(programFd, target, wish)
  pin?.keep(attached.linkFd)
  return attached
}

/** A link that an agent before us left, with our program. */
function adoptXdp(
  programFd: number,
  { ifindex }: XdpTarget,
  wish: AttachWish,
  pin: LinkPin,
): XdpAttachment | undefined {
  const state = libbpf.xdpQuery(ifindex)
  if (typeof state === 'number') return undefined
  const mode = state.driverId !== 0 ? 'native' : 'generic'
  // Another namespace may have the same ifindex: the program tells whether it is this one.
  const adopted = pin.adopt(
    ifindex,
    programFd,
    (id) => id === (state.driverId || state.genericId) && (wish === 'auto' || wish === mode),
  )
  return adopted && { ...adopted, mode }
}

function attachNew(programFd: number, target: XdpTarget, wish: AttachWish): XdpAttachment {
  let fellBack: string | undefined
  if (wish !== 'generic') {
    const linkFd = libbpf.linkCreate(programFd, target.ifindex, libbpf.AttachType.xdp, libbpf.XdpFlag.driver)
    if (linkFd >= 0) return { linkFd, mode: 'native' }
    fellBack = libbpf.errorName(linkFd)
    throwIfFinal(fellBack, target)
    if (wish === 'native') {
      throw new FlowdamError(
        'FD_XDP_NATIVE',
        `the driver of ${target.name} takes no XDP program: ${fellBack}`,
        {
          remedy:
            'use `attach: auto` or `attach: generic`; a large MTU, LRO or too few queues can be the reason too',
        },
      )
    }
  }
  const linkFd = libbpf.linkCreate(programFd, target.ifindex, libbpf.AttachType.xdp, libbpf.XdpFlag.skb)
  if (linkFd >= 0) return { linkFd, mode: 'generic', ...(fellBack && { fellBack }) }
  const error = libbpf.errorName(linkFd)
  throwIfFinal(error, target)
  throw new FlowdamError('FD_XDP_ATTACH', `cannot attach to ${target.name}: ${error}`)
}

/** Errors that the other mode would not mend. */
function throwIfFinal(error: string, { name, ifindex }: XdpTarget): void {
  if (error === 'ENODEV') throw new FlowdamError('FD_INTERFACE_MISSING', `interface ${name} is gone`)
  if (error === 'EPERM') {
    throw new FlowdamError(
      'FD_NOT_PERMITTED',
      `the kernel does not let this process attach to ${name}: EPERM`,
      {
        remedy: 'run it as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON',
      },
    )
  }
  if (error !== 'EBUSY' && error !== 'EEXIST') return
  const state = libbpf.xdpQuery(ifindex)
  const id = typeof state === 'number' ? 0 : state.driverId || state.genericId
  const program = id ? libbpf.programNameById(id) : undefined
  const there = id ? `XDP program ${id} (${program || 'without a name'})` : 'an XDP program'
  throw new FlowdamError('FD_XDP_BUSY', `${name} already has ${there}; an interface takes one`, {
    remedy: program?.startsWith('flowdam_xdp')
      ? `another agent counts there, or one with keep_attached did: stop it, or see \`flowdam-agent --detach\` (bpftool net show dev ${name})`
      : `see it with \`bpftool net show dev ${name}\`; stop the program that owns it, remove it with \`ip link set dev ${name} xdp off\`, or let Flowdam count on another interface`,
  })
}
