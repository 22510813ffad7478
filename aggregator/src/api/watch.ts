// SPDX-License-Identifier: Apache-2.0
import { FlowdamError, type Logger } from '@flowdam/common'
import type { ServerWritableStream } from '@grpc/grpc-js'
import { badField } from './errors.js'
import { statusError } from './status-error.js'

/** A watcher that reads nothing for so many events is cut off; it can begin anew and gets the state first. */
const MOST_PENDING = 10_000
const DEFAULT_INTERVAL_MS = 1000

/** Sends events as they come, until the caller is gone or does not read. `begin` returns what ends the subscription. */
export function sendEvents<Response>(
  call: ServerWritableStream<object, Response>,
  log: Logger,
  begin: (send: (response: Response) => void) => () => void,
): void {
  let pending = 0
  let ended = false
  let unwatch = () => {}
  const end = () => {
    ended = true
    unwatch()
  }
  const send = (response: Response) => {
    if (ended) return
    if (pending >= MOST_PENDING) {
      end()
      call.emit('error', statusError(new FlowdamError('FD_WATCH_SLOW', 'the watcher does not read'), log))
      return
    }
    pending++
    call.write(response, () => {
      pending--
    })
  }
  for (const name of ['cancelled', 'close'] as const) call.on(name, end)
  unwatch = begin(send)
  if (ended) unwatch()
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
