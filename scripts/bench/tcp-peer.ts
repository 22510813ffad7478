// SPDX-License-Identifier: Apache-2.0
//
// Bytes over TCP between two Node processes and nothing else: what a stream can be compared with. Started by the
// benches; argv[2] is JSON: `{}` receives and prints its port, `{ port, bytes }` sends. Both print what they needed.
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { readCommands } from './cpu-report.js'

const CHUNK = 1 << 20

async function receive(): Promise<void> {
  const server = createServer((socket) => {
    let left = 0
    socket.on('data', (chunk: Buffer) => {
      left += chunk.length
    })
    // The sender counts until we have read all of it.
    socket.on('end', () => socket.end(String(left)))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  process.stdout.write(`${JSON.stringify({ address: String((server.address() as AddressInfo).port) })}\n`)
  readCommands()
}

async function send(port: number, bytes: number): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const chunk = Buffer.alloc(CHUNK, 7)
  const cpuBefore = process.cpuUsage()
  const began = performance.now()
  for (let sent = 0; sent < bytes; sent += CHUNK) if (!socket.write(chunk)) await once(socket, 'drain')
  socket.end()
  await once(socket.resume(), 'end')
  const { user, system } = process.cpuUsage(cpuBefore)
  const seconds = (performance.now() - began) / 1000
  process.stdout.write(`${JSON.stringify({ bytes, seconds, cpuSeconds: (user + system) / 1e6 })}\n`)
  process.exit(0)
}

const { port, bytes } = JSON.parse(process.argv[2] ?? '{}') as { port?: number; bytes?: number }
await (port === undefined ? receive() : send(port, bytes ?? CHUNK))
