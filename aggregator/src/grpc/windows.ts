// SPDX-License-Identifier: Apache-2.0
import type { Http2SecureServer, Http2Server, ServerHttp2Session, Settings } from 'node:http2'
import { FlowdamError } from '@flowdam/common'
import type { Server } from '@grpc/grpc-js'

/**
 * HTTP/2's default window is 64 KiB, so a stream at 20 ms round trip moves at most 3 MB/s. @grpc/grpc-js 1.14 has
 * an option for clients (`grpc-node.flow_control_window`), for servers none: this reaches into the server. Should a
 * release rename what it needs, the aggregator refuses to start rather than crawl.
 */
export const WINDOW_BYTES = 8 << 20

interface ServerInternals {
  commonServerOptions: { settings?: Settings; handshakeTimeout?: number }
  http2Servers: Map<Http2Server, unknown>
}

/** Before the server binds: the window of each stream. */
export function widenStreams(server: Server, bytes = WINDOW_BYTES): void {
  const { commonServerOptions } = internals(server)
  commonServerOptions.settings = { ...commonServerOptions.settings, initialWindowSize: bytes }
}

/**
 * Before the server binds: how long a client may take for its TLS handshake. Node's two minutes suit nobody but those who
 * want to use up our sockets; what is silent after the handshake is ended by keepalives.
 */
export function limitHandshakes(server: Server, ms: number): void {
  internals(server).commonServerOptions.handshakeTimeout = ms
}

/** After the server has bound: the window of each connection. `onNarrow` hears of one that stayed small. */
export function widenConnections(
  server: Server,
  onNarrow: (windowBytes: number) => void,
  bytes = WINDOW_BYTES,
): void {
  for (const http2Server of http2Servers(server)) {
    http2Server.on('session', (session: ServerHttp2Session) => {
      session.setLocalWindowSize(bytes)
      const effective = session.state.effectiveLocalWindowSize ?? 0
      if (effective < bytes) onNarrow(effective)
    })
  }
}

/** After the bind: the servers whose certificates can be changed. */
export function secureServers(server: Server): Http2SecureServer[] {
  return http2Servers(server).filter(
    (one): one is Http2Server & Http2SecureServer => 'setSecureContext' in one,
  )
}

/** After the bind: what grpc-js listens with. */
export function http2Servers(server: Server): Http2Server[] {
  const servers = [...internals(server).http2Servers.keys()]
  if (servers.length === 0) throw unsupported('no HTTP/2 server')
  if (servers.some((one) => typeof one.on !== 'function'))
    throw unsupported('its HTTP/2 server emits no events')
  return servers
}

function internals(server: Server): ServerInternals {
  const { commonServerOptions, http2Servers } = server as unknown as Partial<ServerInternals>
  if (typeof commonServerOptions !== 'object' || !(http2Servers instanceof Map)) {
    throw unsupported('commonServerOptions or http2Servers is gone')
  }
  return { commonServerOptions, http2Servers }
}

function unsupported(what: string): FlowdamError {
  return new FlowdamError('FD_GRPC_WINDOWS', `this @grpc/grpc-js cannot be given larger windows: ${what}`, {
    remedy: 'install the version that package-lock.json names',
  })
}
