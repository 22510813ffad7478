// SPDX-License-Identifier: Apache-2.0
import type { ServerDuplexStream } from '@grpc/grpc-js'
import { status } from '@grpc/grpc-js'
import { Refusal } from './refusal.js'

/** In a certificate's SAN: `URI:flowdam-agent:ID`, or `DNS:ID`. */
const URI_PREFIX = 'flowdam-agent:'
/** RFC 5280 section 4.2.1.6, as Node writes it: values with odd characters are JSON strings. */
const ENTRY = /([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/y

/** Agent ids that a certificate stands for. */
export function agentIdsOf(subjectAltName: string): string[] {
  const ids: string[] = []
  ENTRY.lastIndex = 0
  for (let match = ENTRY.exec(subjectAltName); match; match = ENTRY.exec(subjectAltName)) {
    const [, kind, value = ''] = match
    if (kind === 'DNS' && !value.startsWith('"')) ids.push(value)
    if (kind === 'URI' && value.startsWith(URI_PREFIX)) ids.push(value.slice(URI_PREFIX.length))
    if (ENTRY.lastIndex >= subjectAltName.length) break
  }
  return ids
}

/** Whether it says that it is an agent's; such a certificate is no key to the API. */
export function isAgentCertificate(subjectAltName: string): boolean {
  return subjectAltName.includes(`URI:${URI_PREFIX}`)
}

/** Throws a Refusal unless the connection's certificate is that of this agent. */
export function checkIdentity(
  agentId: string,
  context: ReturnType<ServerDuplexStream<unknown, unknown>['getAuthContext']>,
): void {
  const certificate = context?.sslPeerCertificate
  if (!certificate) {
    throw new Refusal(
      status.UNAUTHENTICATED,
      'FD_CERTIFICATE: agents need a certificate here (tls.cert)',
      'certificate',
    )
  }
  const ids = agentIdsOf(certificate.subjectaltname ?? '')
  if (ids.includes(agentId)) return
  const names = ids.length === 0 ? 'no agent' : ids.map((id) => `'${id}'`).join(', ')
  throw new Refusal(
    status.PERMISSION_DENIED,
    `FD_CERTIFICATE: the certificate is for ${names}, not for agent '${agentId}'; its SAN must have URI:${URI_PREFIX}${agentId}`,
    'certificate',
  )
}
