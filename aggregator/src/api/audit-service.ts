// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '@flowdam/common'
import type { AuditServiceServer } from '@flowdam/proto'
import type { AuditLog } from '../access/audit.js'
import { pageToken as makePageToken, readPageToken } from './page.js'
import { unary } from './status-error.js'

const DEFAULT_LIST = 100
const MOST_LIST = 1000

export function auditService(audit: AuditLog, log: Logger): AuditServiceServer {
  return {
    listAudit: unary(log, async ({ limit, pageToken, sinceUnixMs, by, refused }) => {
      const kind = `audit ${by} ${refused}`
      const [before = ''] = readPageToken(kind, pageToken) ?? []
      const { lines, more } = await audit.list({
        limit: Math.min(limit || DEFAULT_LIST, MOST_LIST),
        before: String(before),
        sinceUnixMs,
        by,
        refused,
      })
      const last = lines.at(-1)
      return { entries: lines, nextPageToken: more && last ? makePageToken(kind, last.id) : '' }
    }),
  }
}
