// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Metadata } from '@grpc/grpc-js'
import { type IdentityRules, identify } from './caller.js'

const PEER = '192.0.2.7:4711'

function by(
  subject: { CN?: string; san?: string } | undefined,
  rules: Partial<IdentityRules>,
  token = '',
): string {
  const metadata = new Metadata()
  if (token !== '') metadata.set('authorization', `Bearer ${token}`)
  const certificate = subject && { subject: { CN: subject.CN }, subjectaltname: subject.san }
  type Context = Parameters<typeof identify>[1]
  const context = { transportSecurityType: 'ssl', sslPeerCertificate: certificate } as unknown as Context
  try {
    const caller = identify(metadata, context, PEER, {
      findToken: undefined,
      certificates: undefined,
      ...rules,
    })
    return `${caller.by} ${caller.role}`
  } catch (error) {
    return (error as { code: string }).code
  }
}

const REFUSED = 'FD_API_UNAUTHENTICATED'
const noTokens: Partial<IdentityRules> = {}
const tokens: Partial<IdentityRules> = {
  findToken: (presented) =>
    presented === 'good'
      ? { name: 'noc', role: 'operate', hash: Buffer.alloc(32), untilUnixMs: Number.POSITIVE_INFINITY }
      : undefined,
}
const listed: Partial<IdentityRules> = { certificates: { alice: 'operate' } }
const alice = { CN: 'alice' }
const agent = { CN: 'edge1', san: 'URI:flowdam-agent:edge1' }

describe('identify()', () => {
  for (const [title, found, expected] of [
    ['a certificate without a list may everything', by(alice, noTokens), 'certificate:alice admin'],
    ["an agent's certificate may nothing", by(agent, noTokens), REFUSED],
    ['a listed name has its role', by(alice, listed), 'certificate:alice operate'],
    ['a name that is not listed has none', by({ CN: 'bob' }, listed), REFUSED],
    ['a name such as an object has by itself has none', by({ CN: 'constructor' }, listed), REFUSED],
    [
      'a DNS name of the certificate counts, too',
      by({ CN: 'x', san: 'DNS:alice' }, listed),
      'certificate:alice operate',
    ],
    ['where there are tokens a certificate is not enough', by(alice, tokens), REFUSED],
    ['unless it is listed', by(alice, { ...tokens, ...listed }), 'certificate:alice operate'],
    [
      'a token comes before the certificate',
      by(alice, { ...tokens, ...listed }, 'good'),
      'token:noc operate',
    ],
    ['a wrong token is not made good by one', by(alice, { ...tokens, ...listed }, 'bad'), REFUSED],
    ['nothing at all, with tokens', by(undefined, tokens), REFUSED],
    ['nothing at all where an operator insisted on it', by(undefined, noTokens), 'insecure:192.0.2.7 admin'],
  ] as const) {
    it(title, () => assert.equal(found, expected))
  }
})
