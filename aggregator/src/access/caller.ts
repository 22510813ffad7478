// SPDX-License-Identifier: Apache-2.0
import { FlowdamError, isLoopback } from '@flowdam/common'
import type { Metadata, ServerInterceptingCall } from '@grpc/grpc-js'
import { agentIdsOf, isAgentCertificate } from '../ingest/identity.js'
import type { Role } from './roles.js'
import type { Token } from './tokens.js'

/** Whoever makes a call, as far as we know. */
export interface Caller {
  /** `token:noc`, `certificate:alice`, `local`, `fastnetmon_api`, or `insecure:ADDRESS` where an operator insisted on neither. */
  by: string
  role: Role
  /** Address and port. */
  peer: string
}

/** Everybody who uses FastNetMon's API, in bans and in the audit log. */
export const FASTNETMON_CALLER = 'fastnetmon_api'

type AuthContext = ReturnType<ServerInterceptingCall['getAuthContext']>

export interface IdentityRules {
  /** Undefined where the API has no tokens. */
  findToken: ((presented: string) => Token | undefined) | undefined
  /** Names in client certificates that stand for a role; undefined where any but an agent's is an admin's. */
  certificates: Readonly<Record<string, Role>> | undefined
  /** Every caller is this one: a port on loopback whose protocol knows of no identity. */
  everybody?: Omit<Caller, 'peer'>
}

/** Throws FD_API_UNAUTHENTICATED. What was presented is in no message: it may be another service's secret. */
export function identify(
  metadata: Metadata,
  context: AuthContext,
  peer: string,
  { findToken, certificates, everybody }: IdentityRules,
): Caller {
  if (everybody) return { ...everybody, peer }
  const [authorization] = metadata.get('authorization')
  if (findToken && authorization !== undefined) {
    const [, presented] = /^bearer +(\S+)$/i.exec(String(authorization)) ?? []
    const token = presented === undefined ? undefined : findToken(presented)
    if (!token) throw unauthenticated('the token is not known here')
    if (token.untilUnixMs <= Date.now()) throw unauthenticated(`the token '${token.name}' has expired`)
    return { by: `token:${token.name}`, role: token.role, peer }
  }
  const certificate = context.sslPeerCertificate
  if (certificate) {
    const names = namesOf(certificate)
    if (certificates) {
      const named = names.find((name) => Object.hasOwn(certificates, name))
      const role = named === undefined ? undefined : certificates[named]
      if (named !== undefined && role) return { by: `certificate:${named}`, role, peer }
    } else if (!findToken && !isAgentCertificate(certificate.subjectaltname ?? '')) {
      return { by: `certificate:${names[0] ?? 'unnamed'}`, role: 'admin', peer }
    }
    throw unauthenticated(
      findToken
        ? 'a token is needed, or a certificate of api.certificates'
        : `the certificate (${names.join(', ') || 'unnamed'}) stands for no role of the API`,
    )
  }
  if (findToken) throw unauthenticated("a token is needed: metadata 'authorization: Bearer TOKEN'")
  // Without tokens and TLS the listener is on loopback, or an operator insisted (config/check.ts).
  const host = hostOf(peer)
  return { by: isLoopback(host) ? 'local' : `insecure:${host}`, role: 'admin', peer }
}

/** The address without its port. */
export function hostOf(peer: string): string {
  return peer.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')
}

function namesOf(certificate: { subject?: { CN?: unknown }; subjectaltname?: string }): string[] {
  const commonName = certificate.subject?.CN
  return [
    ...(typeof commonName === 'string' ? [commonName] : []),
    ...agentIdsOf(certificate.subjectaltname ?? ''),
  ]
}

function unauthenticated(message: string): FlowdamError {
  return new FlowdamError('FD_API_UNAUTHENTICATED', message)
}

const callers = new WeakMap<Metadata, Caller>()

/** The gate has let this call through. */
export function setCaller(metadata: Metadata, caller: Caller): void {
  callers.set(metadata, caller)
}

/** Who makes the call with this metadata; the gate put it there. */
export function callerOf(metadata: Metadata): Caller {
  const caller = callers.get(metadata)
  if (!caller) throw new Error('a call that did not come through the gate')
  return caller
}
