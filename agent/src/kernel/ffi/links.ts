// SPDX-License-Identifier: Apache-2.0
import { native } from './native.js'
import type { XdpState } from './types.js'

/** A link's fd, or a negative error number. Closing the fd, or the end of the process, detaches. */
export function linkCreate(programFd: number, ifindex: number, type: number, flags: number): number {
  // sz up to and including `flags`: valid for every libbpf 1.x, also for attach types that it does not know (TCX).
  const options = { sz: 12, flags, iter_info: null, iter_info_len: 0, target_btf_id: 0 }
  return native().linkCreate(programFd, ifindex, type, options)
}

/** Replaces the program of a link atomically. */
export const linkUpdate = (link: number, programFd: number): number =>
  native().linkUpdate(link, programFd, null)

/** Which XDP programs an interface has, or a negative error number. */
export function xdpQuery(ifindex: number): XdpState | number {
  const options = { sz: 32, prog_id: 0, drv_prog_id: 0, hw_prog_id: 0, skb_prog_id: 0, attach_mode: 0 }
  const status = native().xdpQuery(ifindex, 0, options)
  if (status < 0) return status
  return { driverId: options.drv_prog_id, genericId: options.skb_prog_id }
}

/** Ids of the programs at a hook that takes several (AttachType.tcxEgress); empty where the kernel has no such hook. */
export function programsAt(ifindex: number, type: number): number[] {
  const ids = new Uint32Array(64)
  const count: [number] = [ids.length]
  const status = native().programQuery(ifindex, type, 0, null, ids, count)
  return status < 0 ? [] : [...ids.subarray(0, count[0])]
}

/** A loaded program's name, for messages; undefined when it is gone or may not be seen. */
export function programNameById(id: number): string | undefined {
  const fd = native().programFdById(id)
  if (fd < 0) return undefined
  // struct bpf_prog_info: name is 16 bytes at 64; the kernel fills as much as we ask for.
  const info = Buffer.alloc(80)
  const status = native().infoByFd(fd, info, [info.length])
  native().closeFd(fd)
  if (status < 0) return undefined
  const end = info.indexOf(0, 64)
  return info.toString('utf8', 64, end < 0 ? 80 : end)
}

/** What a link joins; undefined when the fd is none of a link. `ifindex` is 0 once it was detached or the interface is gone. */
export function linkInfo(link: number): { programId: number; ifindex: number } | undefined {
  // struct bpf_link_info: type, id, prog_id, padding, then ifindex for both XDP and TCX.
  const info = Buffer.alloc(24)
  if (native().infoByFd(link, info, [info.length]) < 0) return undefined
  return { programId: info.readUInt32LE(8), ifindex: info.readUInt32LE(16) }
}

/** linkInfo's ifindex, 0 for what is no link. */
export const linkIfindex = (link: number): number => linkInfo(link)?.ifindex ?? 0
