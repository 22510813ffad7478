// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '@flowdam/common'
import type { ServerWritableStream } from '@grpc/grpc-js'
import { badField, RetryError } from './errors.js'
import { statusError } from './status-error.js'

/** Events that may wait for a watcher, beside the state that it begins with. It is cut off then, and can begin anew. */
const MOST_PENDING = 1000
const RETRY_MS = 1000
const DEFAULT_INTERVAL_MS = 1000

/** What a watch begins with, and how it goes on: `watch` calls back for each event and returns what ends that. */
export interface Events<Response> {
  state: () => Response[]
  watch: (send: (response: Response) => void) => () => void
}

/**
 * Sends the state, then events as they come, until the caller is gone or has not read so many. One message is under way
 * at a time and the others wait here: when the watch ends, nothing of them stays.
 */
export function sendEvents<Response>(
  call: ServerWritableStream<object, Response>,
  log: Logger,
  { state, watch }: Events<Response>,
): void {
  let waiting: Response[] = state()
  let ofState = waiting.length
  let busy = false
  let ended = false
  let unwatch = () => {}
  const end = () => {
    ended = true
    waiting = []
    unwatch()
  }
  const next = () => {
    busy = false
    const response = waiting.shift()
    if (response === undefined) return
    if (ofState > 0) ofState--
    busy = true
    call.write(response, next)
  }
  const send = (response: Response) => {
    if (ended) return
    if (waiting.length - ofState >= MOST_PENDING) {
      end()
      const message = `${MOST_PENDING} events waited for the watcher to read; what came then is not told`
      const options = { remedy: 'begin anew: a watch begins with the state' }
      const error = new RetryError('FD_WATCH_SLOW', message, RETRY_MS, options)
      call.emit('error', statusError(error, log))
      return
    }
    waiting.push(response)
    if (!busy) next()
  }
  for (const name of ['cancelled', 'close'] as const) call.on(name, end)
  unwatch = watch(send)
  if (ended || call.cancelled) end()
  else next()
}

/** Answers a stream again and again. A caller that reads slowly gets fewer, not older answers. */
export function repeat<Request extends { intervalMs: number }, Response>(
  call: ServerWritableStream<Request, Response>,
  log: Logger,
  look: (request: Request) => Response,
): void {
  const { intervalMs } = call.request
  let timer: NodeJS.Timeout | undefined
  let busy = false
  const stop = () => clearInterval(timer)
  const send = () => {
    if (busy || call.cancelled) return
    try {
      busy = !call.write(look(call.request))
    } catch (error) {
      stop()
      call.emit('error', statusError(error, log))
    }
  }
  if (intervalMs !== 0 && (intervalMs < 100 || intervalMs > 60_000)) {
    const error = badField('interval_ms', `interval_ms is ${intervalMs}; it goes from 100 to 60000`)
    call.emit('error', statusError(error, log))
    return
  }
  call.on('drain', () => {
    busy = false
  })
  for (const name of ['cancelled', 'close', 'error'] as const) call.on(name, stop)
  timer = setInterval(send, intervalMs || DEFAULT_INTERVAL_MS)
  send()
}

/** Sends parts as fast as the caller reads them, and asks for no more once it is gone. */
export async function sendParts<Response>(
  call: ServerWritableStream<object, Response>,
  log: Logger,
  parts: (signal: AbortSignal) => AsyncIterable<Response>,
): Promise<void> {
  const controller = new AbortController()
  for (const name of ['cancelled', 'close'] as const) call.on(name, () => controller.abort())
  try {
    for await (const part of parts(controller.signal)) {
      if (controller.signal.aborted) return
      if (!call.write(part)) await drained(call, controller.signal)
    }
    call.end()
  } catch (error) {
    if (!controller.signal.aborted) call.emit('error', statusError(error, log))
  }
}

function drained(call: ServerWritableStream<object, unknown>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    call.once('drain', resolve)
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
