// SPDX-License-Identifier: Apache-2.0
//
// A program of its own, run inside a namespace: the link between agent and aggregator, and eyes on their HTTP ports.
import { DelayProxy } from '@flowdam/scripts/net/delay-proxy'
import type { LinkAnswer, LinkOrder } from './link.js'

const [port = '0', oneWayMs = '0'] = process.argv.slice(2)
const proxy = new DelayProxy({
  target: { host: '127.0.0.1', port: Number(port) },
  oneWayMs: Number(oneWayMs),
})

async function obey(order: LinkOrder): Promise<string> {
  if (order === 'cut') proxy.cut()
  else if (order === 'restore') proxy.restore()
  else if (order === 'freeze') proxy.freeze()
  else if ('slow' in order) proxy.slow(order.slow)
  else return await (await fetch(order.fetch)).text()
  return ''
}

process.on('message', ({ id, order }: { id: number; order: LinkOrder }) => {
  const answer = (rest: Omit<LinkAnswer, 'id'>) => process.send?.({ id, ...rest })
  obey(order).then(
    (text) => answer({ text }),
    (error: unknown) => answer({ failed: String(error) }),
  )
})
process.on('disconnect', () => process.exit(0))
await proxy.start()
process.send?.({ id: 0, text: String(proxy.port) } satisfies LinkAnswer)
