// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FASTNETMON_PACKAGES, fastNetMonService } from './fastnetmon-api.js'

describe("FastNetMon's service", () => {
  it('has the names of both packages', () => {
    assert.deepEqual(
      FASTNETMON_PACKAGES.map((name) => fastNetMonService(name).executeUnBan.path),
      ['/fastmitigation.Fastnetmon/ExecuteUnBan', '/fastnetmoninternal.Fastnetmon/ExecuteUnBan'],
    )
  })

  it('writes and reads its messages as protobuf does, and skips fields that it does not know', () => {
    const { executeBan, getBanlist } = fastNetMonService('fastmitigation')
    const bytes = executeBan.requestSerialize({ ipAddress: '192.0.2.1' })
    assert.deepEqual(bytes, Buffer.from('\n\t192.0.2.1', 'latin1'))
    assert.deepEqual(executeBan.requestDeserialize(bytes), { ipAddress: '192.0.2.1' })
    // BanListReply of later versions: announce_uuid is field 2.
    const reply = Buffer.concat([Buffer.from([0x12, 2, 0x61, 0x62]), bytes])
    assert.deepEqual(getBanlist.responseDeserialize(reply), { ipAddress: '192.0.2.1' })
    assert.deepEqual(executeBan.responseSerialize({ result: true }), Buffer.from([8, 1]))
    assert.deepEqual(executeBan.responseDeserialize(Buffer.from([8, 1])), { result: true })
    assert.deepEqual(executeBan.responseDeserialize(Buffer.alloc(0)), { result: false })
    assert.throws(() => executeBan.requestDeserialize(Buffer.from([0x0a, 9, 1])))
  })
})
