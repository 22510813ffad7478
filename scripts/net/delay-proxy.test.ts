// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { it } from 'node:test'
import { DelayProxy } from './delay-proxy.js'

it('delays both directions, keeps order and bytes, and can be frozen and cut', async () => {
  const echo = createServer((socket) => socket.pipe(socket).on('error', () => socket.destroy()))
  echo.listen(0, '127.0.0.1')
  await once(echo, 'listening')
  const proxy = new DelayProxy({
    target: { host: '127.0.0.1', port: (echo.address() as AddressInfo).port },
    oneWayMs: 15,
  })
  await proxy.start()
  try {
    const client = connect(proxy.port, '127.0.0.1')
    client.on('error', () => {})
    await once(client, 'connect')
    const sent = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251))
    const started = performance.now()
    client.write(sent)
    const received: Buffer[] = []
    let length = 0
    while (length < sent.length) {
      const [chunk] = (await once(client, 'data')) as [Buffer]
      if (received.length === 0)
        assert.ok(performance.now() - started >= 29, 'the first byte came back too early')
      received.push(chunk)
      length += chunk.length
    }
    assert.ok(Buffer.concat(received).equals(sent))
    let heard = 0
    client.on('data', () => heard++)
    proxy.freeze()
    client.write('lost')
    const other = connect(proxy.port, '127.0.0.1').on('error', () => {})
    other.write('new')
    const [answer] = (await once(other, 'data')) as [Buffer]
    assert.equal(answer.toString(), 'new', 'a new connection works')
    assert.equal(heard, 0, 'the frozen one is silent')
    const closed = once(client, 'close')
    proxy.cut()
    await closed
  } finally {
    await proxy.stop()
    echo.close()
  }
})
