// SPDX-License-Identifier: Apache-2.0
//
// A program of its own, run inside a namespace: makes TCP ports of that namespace's loopback reachable through unix
// sockets, which do not care about network namespaces. Arguments: FILE=PORT …
import { rmSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'

for (const pair of process.argv.slice(2)) {
  const [file, port] = pair.split('=')
  if (!file || !port) throw new Error(`FILE=PORT expected, not ${pair}`)
  rmSync(file, { force: true })
  createServer((near) => {
    const far = createConnection({ host: '127.0.0.1', port: Number(port) })
    near.pipe(far).pipe(near)
    near.on('error', () => far.destroy())
    far.on('error', () => near.destroy())
  }).listen(file)
}
