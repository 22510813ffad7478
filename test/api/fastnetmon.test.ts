// SPDX-License-Identifier: Apache-2.0
//
// FastNetMon's own client, from Debian's package, against our aggregator: it always asks localhost:50052, so both are in
// a namespace. The hook is a notify script of FastNetMon's stock shape, which mails the report;
// FLOWDAM_NOTIFY_SCRIPT=FILE runs another one, such as the one that came with FastNetMon, unchanged.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { inNamespace } from '@flowdam/scripts/lab/commands'
import { LabNetwork } from '@flowdam/scripts/lab/network'
import { LabProcess } from '@flowdam/scripts/lab/process'
import { ROOT } from '@flowdam/scripts/lab/root'
import { waitFor } from '@flowdam/scripts/lab/wait'

const CLIENT = '/usr/bin/fastnetmon_api_client'

// As FastNetMon's: the report goes through `mail` at a ban, nothing is read at an unban.
const NOTIFY = `#!/bin/sh
to="noc@example.net"
if [ "$4" = "ban" ]; then
    cat | mail -s "FastNetMon Community: IP $1 blocked because $2 attack with power $3 pps" $to;
    exit 0
fi
if [ "$4" = "unban" ]; then
    exit 0
fi
`

interface AuditLine {
  by: string
  method: string
  request: string | object
  status: string
  error: string
}

describe("FastNetMon's own client", {
  skip: existsSync(CLIENT) ? false : 'fastnetmon is not installed',
}, () => {
  const network = new LabNetwork()
  const file = (...names: string[]) => join(network.folder, ...names)
  let daemon: LabProcess | undefined

  before(async () => {
    await network.start()
    mkdirSync(file('bin'))
    const mail = `#!/bin/sh\n{ printf '%s\\n' "$@"; cat; } >'${file('mail.part')}' && mv '${file('mail.part')}' '${file('mail')}'\n`
    writeFileSync(file('bin', 'mail'), mail, { mode: 0o755 })
    const stock = process.env['FLOWDAM_NOTIFY_SCRIPT']
    if (stock === undefined) writeFileSync(file('notify.sh'), NOTIFY, { mode: 0o755 })
    else copyFileSync(stock, file('notify.sh'))
    writeFileSync(
      file('aggregator.yaml'),
      `networks: [203.0.113.0/24, 2001:db8::/32]
exempt: [203.0.113.1]
state: ${file('state')}
store: { engine: embedded, path: ${file('store')} }
fastnetmon_api: 127.0.0.1:50052
hooks:
  - name: notify
    run: [${file('notify.sh')}]
    format: fastnetmon
    env: { PATH: '${file('bin')}:/usr/bin:/bin' }
`,
    )
    daemon = new LabProcess({
      name: 'flowdam-aggregator',
      program: process.execPath,
      args: [join(ROOT, 'aggregator', 'dist', 'main.js'), '--config', file('aggregator.yaml')],
      namespace: network.namespaces.edge,
      logFile: file('aggregator.log'),
      env: { FLOWDAM_LOG: 'info' },
    })
    daemon.start()
    await waitFor('the aggregator', () => {
      if (!daemon?.running) throw new Error(`it ended: ${daemon?.logTail()}`)
      return readFileSync(file('aggregator.log'), 'utf8').includes('aggregator started')
    })
  })
  after(async () => {
    await daemon?.stop()
    await network.stop()
  })

  /** The client says what it has to say and exits with 0, whatever happened. */
  function client(...args: string[]): Promise<{ stdout: string; stderr: string }> {
    const [program, argv] = inNamespace(network.namespaces.edge, CLIENT, args)
    return new Promise((resolve) => {
      execFile(program, argv, { timeout: 120_000 }, (_error, stdout, stderr) => resolve({ stdout, stderr }))
    })
  }
  const done = { stdout: '', stderr: '' }
  const audit = (): AuditLine[] =>
    readFileSync(file('state', 'audit.jsonl'), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as AuditLine)

  it('bans, lists and unbans an address of each family', async () => {
    assert.deepEqual(await client('get_banlist'), done)
    for (const address of ['203.0.113.10', '2001:db8::a'])
      assert.deepEqual(await client('ban', address), done)
    const { stdout, stderr } = await client('get_banlist')
    assert.deepEqual(stdout.trim().split('\n').sort(), ['2001:db8::a/128', '203.0.113.10/32'])
    assert.equal(stderr, '')
    for (const address of ['203.0.113.10', '2001:db8::a'])
      assert.deepEqual(await client('unban', address), done)
    assert.deepEqual(await client('get_banlist'), done)
  })

  it("runs FastNetMon's notify script with the report for mail", async () => {
    await client('ban', '203.0.113.11')
    const mail = await waitFor('the mail', () => {
      const text = existsSync(file('mail')) ? readFileSync(file('mail'), 'utf8') : ''
      return text.includes('203.0.113.11') ? text : undefined
    })
    assert.match(
      mail,
      /^-s\nFastNetMon Community: IP 203\.0\.113\.11 blocked because incoming attack with power 0 pps\n/,
    )
    assert.match(mail, /^IP: 203\.0\.113\.11\nAttack type: /m)
    await client('unban', '203.0.113.11')
  })

  it('cannot ban what nobody may ban, and hears why', async () => {
    const refused: [string, string, RegExp][] = [
      ['ban', '203.0.113.1', /FD_BAN_EXEMPT/],
      ['ban', '198.51.100.1', /FD_BAN_OUTSIDE_NETWORKS/],
      ['ban', 'nobody', /FD_ADDRESS_INVALID/],
      ['ban', '203.0.113.0/24', /FD_ADDRESS_INVALID/],
      ['unban', '203.0.113.99', /FD_BAN_UNKNOWN/],
    ]
    for (const [action, address, reason] of refused) {
      const { stdout, stderr } = await client(action, address)
      assert.equal(stdout, '')
      assert.match(stderr, /^Query failed /)
      assert.match(stderr, reason)
    }
    assert.deepEqual(await client('get_banlist'), done)
  })

  it('is in the audit log with every change, done or refused', () => {
    const lines = audit()
    assert.ok(lines.length >= 11)
    assert.deepEqual(new Set(lines.map(({ by }) => by)), new Set(['fastnetmon_api']))
    const first = lines[0]
    assert.deepEqual([first?.method, first?.status], ['fastmitigation.Fastnetmon/ExecuteBan', 'OK'])
    assert.match(JSON.stringify(first?.request), /203\.0\.113\.10/)
    assert.ok(
      lines.some(({ status, error }) => status === 'FAILED_PRECONDITION' && /FD_BAN_EXEMPT/.test(error)),
    )
  })
})
