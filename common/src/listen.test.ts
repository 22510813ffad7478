// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatHostPort, isLoopback, parseHostPort } from './listen.js'

describe('HOST:PORT', () => {
  it('reads names, IPv4 and bracketed IPv6', () => {
    for (const text of ['127.0.0.1:50060', '[::1]:50060', 'edge.example.net:1']) {
      assert.equal(formatHostPort(parseHostPort(text)), text)
    }
    for (const text of ['50060', '::1:50060', 'host:', 'host:70000', ':1']) {
      assert.throws(() => parseHostPort(text), { code: 'FD_LISTEN_INVALID' }, text)
    }
  })
  it('knows loopback', () => {
    for (const host of ['127.0.0.1', '127.9.9.9', '::1', 'localhost']) assert.ok(isLoopback(host), host)
    for (const host of ['0.0.0.0', '::', '192.0.2.1', 'example.net']) assert.ok(!isLoopback(host), host)
  })
})
