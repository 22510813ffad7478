// SPDX-License-Identifier: Apache-2.0
import { describeError } from '@flowdam/common'
import { type HookOutcome, OUTPUT_BYTES } from './process.js'

export interface WebhookCall {
  url: string
  headers: Readonly<Record<string, string>>
  /** JSON. */
  body: string
  timeoutMs: number
}

/** POSTs the document; any 2xx is success. The exit code is 0, the HTTP status, or -1 without an answer. */
export async function callWebhook(call: WebhookCall, onStart: () => void): Promise<HookOutcome> {
  onStart()
  try {
    const response = await fetch(call.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...call.headers },
      body: call.body,
      signal: AbortSignal.timeout(call.timeoutMs),
      // Where a document is sent is the operator's decision, not the server's.
      redirect: 'manual',
    })
    const output = `HTTP ${response.status} ${await head(response)}`.trim()
    return response.ok
      ? { result: 'ok', exitCode: 0, output }
      : { result: 'failed', exitCode: response.status, output }
  } catch (error) {
    if (error instanceof Error && error.name === 'TimeoutError') {
      return { result: 'timeout', exitCode: -1, output: `no answer within ${call.timeoutMs} ms` }
    }
    const cause = error instanceof Error && error.cause ? `: ${describeError(error.cause)}` : ''
    return { result: 'failed', exitCode: -1, output: `${describeError(error)}${cause}` }
  }
}

/** The answer's first bytes; a server that sends without end is not listened to. */
async function head(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let length = 0
  try {
    for await (const chunk of response.body ?? []) {
      chunks.push(chunk)
      length += chunk.length
      if (length >= OUTPUT_BYTES) break
    }
  } catch {
    // The status is the answer, whatever becomes of the text: who said 2xx need not be told again.
  }
  return Buffer.concat(chunks).subarray(0, OUTPUT_BYTES).toString('utf8')
}
