// SPDX-License-Identifier: Apache-2.0
import { native } from './native.js'
import { type TcFilter, TcPoint } from './types.js'

function tcHook(ifindex: number, point: number) {
  return { sz: 24, ifindex, attach_point: point, parent: 0 }
}

/** Adds the clsact qdisc; -EEXIST when there is one. */
export const tcHookCreate = (ifindex: number): number =>
  native().tcHookCreate(tcHook(ifindex, TcPoint.ingress | TcPoint.egress))

/** Takes the clsact qdisc away, with every filter on it. */
export const tcHookDestroy = (ifindex: number): number =>
  native().tcHookDestroy(tcHook(ifindex, TcPoint.ingress | TcPoint.egress))

export function tcAttach(ifindex: number, programFd: number, filter: TcFilter, replace: boolean): number {
  const options = { sz: 32, prog_fd: programFd, flags: replace ? 1 : 0, prog_id: 0, ...filter }
  return native().tcAttach(tcHook(ifindex, TcPoint.egress), options)
}

export function tcDetach(ifindex: number, filter: TcFilter): number {
  return native().tcDetach(tcHook(ifindex, TcPoint.egress), {
    sz: 32,
    prog_fd: 0,
    flags: 0,
    prog_id: 0,
    ...filter,
  })
}

/** The program of an egress filter, or a negative error number (-ENOENT: there is none). */
export function tcQuery(ifindex: number, filter: TcFilter): number {
  const options = { sz: 32, prog_fd: 0, flags: 0, prog_id: 0, ...filter }
  const status = native().tcQuery(tcHook(ifindex, TcPoint.egress), options)
  return status < 0 ? status : options.prog_id
}
