// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { type AddBanRequest, BadRequest, type Direction, RpcStatus } from '@flowdam/proto'
import { Metadata, type ServerUnaryCall, type ServiceError, status } from '@grpc/grpc-js'
import { setCaller } from '../access/caller.js'
import { Bans } from '../bans/bans.js'
import { Journal } from '../bans/journal.js'
import { banRulesOf } from '../config/rules.js'
import { aggregatorSchema } from '../config/schema.js'
import type { Detector } from '../detect/detector.js'
import { quietLog } from '../testing/quiet-log.js'
import { banService } from './ban-service.js'

/** What google.rpc.BadRequest names. */
function fieldOf(metadata: Metadata | undefined): string {
  const [bytes] = metadata?.get('grpc-status-details-bin') ?? []
  const detail =
    bytes && RpcStatus.decode(bytes as Buffer).details.find(({ typeUrl }) => /BadRequest$/.test(typeUrl))
  const [violation] = detail ? BadRequest.decode(detail.value).fieldViolations : []
  return violation ? ` in ${violation.field}` : ''
}

describe('the ban service', () => {
  const folder = mkdtempSync(join(tmpdir(), 'flowdam-ban-service-'))
  const log = quietLog()
  const bans = new Bans({
    rules: banRulesOf(aggregatorSchema.parse({ networks: ['203.0.113.0/24'] })),
    journal: new Journal(join(folder, 'bans.jsonl'), log),
    actions: { run: () => {} },
    log,
  })
  bans.start()
  after(() => {
    bans.stop()
    rmSync(folder, { recursive: true })
  })
  const detector: Pick<Detector, 'host'> = { host: () => undefined }
  const service = banService(bans, detector, log)

  function add(more: Partial<AddBanRequest>): Promise<string> {
    const metadata = new Metadata()
    setCaller(metadata, { by: 'token:noc', role: 'operate', peer: '127.0.0.1:1' })
    const request = {
      prefix: '203.0.113.9',
      direction: 0,
      durationS: 0,
      reason: '',
      who: '',
      level: '',
      ...more,
    }
    const call = { request, metadata, on: () => {} } as unknown as ServerUnaryCall<AddBanRequest, never>
    return new Promise((resolve) =>
      service.addBan(call, (error) => {
        const { code = status.OK, details, metadata } = (error ?? { details: 'made' }) as ServiceError
        resolve(`${status[code]} ${details}${fieldOf(metadata)}`)
      }),
    )
  }

  it('says which field of a ban by hand is wrong', async () => {
    assert.match(await add({ level: 'blackhol' }), /^INVALID_ARGUMENT FD_BAN_LEVEL_UNKNOWN.* in level$/)
    assert.match(await add({ who: 'detector' }), /^INVALID_ARGUMENT FD_ARGUMENT.* in who$/)
    assert.match(await add({ direction: 7 as Direction }), /^INVALID_ARGUMENT FD_ARGUMENT.*7.* in direction$/)
    assert.match(await add({ prefix: 'nowhere' }), /^INVALID_ARGUMENT FD_PREFIX_INVALID.* in prefix$/)
  })

  it('takes no text that would keep its hooks from being started, or that is too long for a log', async () => {
    for (const field of ['who', 'reason'] as const) {
      assert.match(await add({ [field]: 'a\0b' }), new RegExp(`^INVALID_ARGUMENT FD_ARGUMENT: ${field} `))
      assert.match(await add({ [field]: 'a\nb' }), /^INVALID_ARGUMENT/)
      assert.match(await add({ [field]: 'x'.repeat(200_000) }), /^INVALID_ARGUMENT/)
    }
    assert.equal(bans.activeCount, 0)
    assert.equal(await add({ reason: 'größer als gestern', who: 'Zoë' }), 'OK made')
  })
})
