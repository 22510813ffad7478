// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import {
  FASTNETMON_PACKAGES,
  type FastNetMonAddress,
  type FastNetMonDefinition,
  type FastNetMonResult,
  fastNetMonService,
} from '@flowdam/proto'
import { Client, credentials, type ServiceError, status } from '@grpc/grpc-js'
import { TestDaemon } from '../testing/daemon.js'

const ADDRESS = '203.0.113.10'

describe("FastNetMon's service beside an API with tokens", { timeout: 300_000 }, () => {
  const daemon = new TestDaemon()
  let client: Client

  before(async () => {
    const tokens = join(daemon.folder, 'tokens')
    const hash = createHash('sha256').update('t'.repeat(40)).digest('hex')
    writeFileSync(tokens, `noc admin sha256:${hash}\n`)
    daemon.configure(
      `networks: [203.0.113.0/24]\nfastnetmon_api: '127.0.0.1:0'\napi: { tokens: ${tokens} }\n`,
    )
    await daemon.start()
    const { listen } = await daemon.loggedWhere('gRPC listens', ({ component }) => component === 'fastnetmon')
    client = new Client(String(listen), credentials.createInsecure())
  })
  after(async () => {
    client?.close()
    await daemon.cleanUp()
  })

  function call(method: FastNetMonDefinition['executeBan'], ipAddress: string): Promise<FastNetMonResult> {
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        { ipAddress },
        (error, answer) => (answer ? resolve(answer) : reject(error)),
      )
    })
  }

  function list({ getBanlist }: FastNetMonDefinition): Promise<string[]> {
    const { path, requestSerialize, responseDeserialize } = getBanlist
    const found: string[] = []
    return new Promise((resolve, reject) => {
      client
        .makeServerStreamRequest(path, requestSerialize, responseDeserialize, {})
        .on('data', ({ ipAddress }: FastNetMonAddress) => found.push(ipAddress))
        .on('error', reject)
        .on('end', () => resolve(found))
    })
  }

  for (const name of FASTNETMON_PACKAGES) {
    it(`bans, lists and unbans as ${name}, without a token`, async () => {
      const service = fastNetMonService(name)
      assert.deepEqual(await call(service.executeBan, ADDRESS), { result: true })
      assert.deepEqual(await list(service), [`${ADDRESS}/32`])
      await assert.rejects(
        call(service.executeBan, ADDRESS),
        ({ code }: ServiceError) => code === status.ALREADY_EXISTS,
      )
      assert.deepEqual(await call(service.executeUnBan, ADDRESS), { result: true })
      assert.deepEqual(await list(service), [])
      await assert.rejects(
        call(service.executeUnBan, ADDRESS),
        ({ code }: ServiceError) => code === status.NOT_FOUND,
      )
    })
  }

  it('offers nothing else there: not our own API, and nothing of FastNetMon that is not here', async () => {
    const { executeBan } = fastNetMonService('fastmitigation')
    for (const path of [
      '/flowdam.v1.BanService/AddBan',
      '/fastnetmoninternal.Fastnetmon/GetRunningVersion',
    ]) {
      await assert.rejects(
        call({ ...executeBan, path }, ADDRESS),
        ({ code }: ServiceError) => code === status.UNIMPLEMENTED || code === status.PERMISSION_DENIED,
      )
    }
  })
})
