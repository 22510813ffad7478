// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs'
import { isLoopback, parseHostPort } from '@flowdam/common'
import { usageError } from './command-error.js'

export interface TokenOptions {
  server: string
  tokenFile?: string
  ca?: string
  insecure?: true
}

/** The token to show, if there is one: a file before FLOWDAM_TOKEN. Refuses to send it where others can read it. */
export function findToken(options: TokenOptions, env: NodeJS.ProcessEnv): string | undefined {
  const { server, tokenFile, ca, insecure } = options
  const token = tokenFile === undefined ? env['FLOWDAM_TOKEN'] || undefined : readToken(tokenFile)
  if (token === undefined) return undefined
  if (!/^[\x21-\x7e]+$/.test(token)) throw usageError('the token has spaces or characters that no token has')
  if (ca === undefined && insecure !== true && !isLoopback(parseHostPort(server).host)) {
    throw usageError(
      `a token would go to ${server} in plaintext`,
      'Give --ca for TLS, or insist with --insecure.',
    )
  }
  return token
}

function readToken(file: string): string {
  try {
    const token = readFileSync(file, 'utf8').trim()
    if (token !== '') return token
  } catch (cause) {
    throw usageError(
      `--token-file: cannot read ${file} (${cause instanceof Error ? cause.message : String(cause)})`,
    )
  }
  throw usageError(`--token-file: ${file} is empty`)
}
