// SPDX-License-Identifier: Apache-2.0
import { parseAddress } from './address.js'
import { FlowdamError } from './errors.js'

export interface HostPort {
  host: string
  port: number
}

/** `127.0.0.1:50060`, `[::1]:50060`, `edge.example.net:50060`. Port 0 asks the kernel for a free one. */
export function parseHostPort(text: string): HostPort {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text.trim())
  const port = Number(match?.[3])
  if (!match || port > 65_535) {
    throw new FlowdamError(
      'FD_LISTEN_INVALID',
      `'${text}' is not HOST:PORT, such as 127.0.0.1:50060 or [::1]:50060`,
    )
  }
  return { host: match[1] ?? match[2] ?? '', port }
}

/** Text that parseHostPort reads back. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Whether only this machine can reach the address: 127.0.0.0/8, ::1, localhost or a unix socket. */
export function isLoopback(host: string): boolean {
  if (host === 'localhost' || host.startsWith('unix:')) return true
  try {
    const bytes = parseAddress(host)
    const v4Loopback = bytes[10] === 0xff && bytes[11] === 0xff && bytes[12] === 127
    const v6Loopback = bytes.every((byte, index) => byte === (index === 15 ? 1 : 0))
    return v4Loopback || v6Loopback
  } catch {
    return false
  }
}
