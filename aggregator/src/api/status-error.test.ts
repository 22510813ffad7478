// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { FlowdamError } from '@flowdam/common'
import { BadRequest, RpcStatus } from '@flowdam/proto'
import { status } from '@grpc/grpc-js'
import { quietLog } from '../testing/quiet-log.js'
import { badField } from './errors.js'
import { STATUS, statusError } from './status-error.js'

describe('statusError()', () => {
  it('has the table of docs/api.md', () => {
    const page = readFileSync(new URL('../../../docs/api.md', import.meta.url), 'utf8')
    const documented = new Map<string, string>()
    for (const [, name = '', codes = ''] of page.matchAll(/^\| `([A-Z_]+)` \| (.*?) \|/gm)) {
      for (const [code] of codes.matchAll(/FD_[A-Z_]+/g)) documented.set(code, name)
    }
    documented.delete('FD_INTERNAL')
    const known = Object.entries(STATUS).map(([code, value]) => [code, status[value]])
    assert.deepEqual([...documented].sort(), known.sort())
  })

  it('says which field is wrong', () => {
    const { code, details, metadata } = statusError(badField('by', 'by is what?'), quietLog())
    assert.equal(code, status.INVALID_ARGUMENT)
    assert.equal(details, 'FD_ARGUMENT: by is what?')
    const rpc = RpcStatus.decode(metadata.get('grpc-status-details-bin')[0] as Buffer)
    assert.equal(rpc.code, code)
    assert.deepEqual(BadRequest.decode(rpc.details[1]?.value ?? Buffer.alloc(0)).fieldViolations, [
      { field: 'by', description: 'by is what?' },
    ])
  })

  it('tells nobody but the log of our own defects', () => {
    const { code, details } = statusError(new TypeError('x is undefined'), quietLog())
    assert.deepEqual(
      [code, details],
      [status.INTERNAL, 'FD_INTERNAL: the aggregator failed; its log says why'],
    )
    assert.equal(
      statusError(new FlowdamError('FD_BAN_EXEMPT', 'no'), quietLog()).code,
      status.FAILED_PRECONDITION,
    )
  })
})
