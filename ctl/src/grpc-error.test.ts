// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Metadata, status } from '@grpc/grpc-js'
import { callError } from './grpc-error.js'

function errorFor(code: status, details: string, connected = false) {
  const error = Object.assign(new Error(details), { code, details, metadata: new Metadata() })
  return callError(error, { server: '192.0.2.1:50060', timeoutMs: 5000, connected })
}

describe('a gRPC error for a person', () => {
  // As seen with grpc-js 1.14 on Node 20.
  const seen: [details: string, message: RegExp, remedy: RegExp][] = [
    [
      'No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:9. Resolution note: ',
      /: connection refused$/,
      /--server/,
    ],
    ['Name resolution failed for target dns:nosuchhost.invalid:5', /no such host name$/, /--server/],
    ['Failed to connect (2026-11-22T05:41:18.419Z)', /it closes the connection$/, /--ca/],
    [
      'No connection established. Last error: 80CC:error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required:../deps/openssl/openssl/ssl/record/rec_layer_s3.c:1601:SSL alert number 116\n (2026-11-22T05:41:18.709Z). Resolution note: ',
      /wants a certificate of ours$/,
      /--cert/,
    ],
    [
      'No connection established. Last error: self-signed certificate in certificate chain. Resolution note: ',
      /not signed by the authority in --ca$/,
      /right file/,
    ],
    ['Failed to connect: Protocol error (2026-11-22T09:21:08.127Z)', /does not speak gRPC$/, /listen\.grpc/],
    ['Connection dropped', /the connection was lost$/, /--server/],
    ['something new', /: something new$/, /--server/],
  ]

  for (const [details, message, remedy] of seen) {
    it(`${details.slice(0, 60).trim()}…`, () => {
      const error = errorFor(status.UNAVAILABLE, details)
      assert.equal(error.exitStatus, 3)
      assert.match(error.message, message)
      assert.match(error.remedy ?? '', remedy)
    })
  }

  it("keeps the aggregator's own code", () => {
    const error = errorFor(status.UNAVAILABLE, 'FD_QUERY_FAILED: the store did not answer', true)
    assert.deepEqual(
      [error.exitStatus, error.code, error.message],
      [1, 'FD_QUERY_FAILED', 'the store did not answer'],
    )
  })

  it('tells a slow answer from no connection', () => {
    assert.equal(errorFor(status.DEADLINE_EXCEEDED, 'Deadline exceeded', true).exitStatus, 1)
    assert.equal(errorFor(status.DEADLINE_EXCEEDED, 'Deadline exceeded', false).exitStatus, 3)
  })

  it('tells a web server from an aggregator', () => {
    assert.match(
      errorFor(status.UNIMPLEMENTED, 'Received HTTP status code 404').message,
      /no gRPC server \(HTTP 404\)/,
    )
  })
})
