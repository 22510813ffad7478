// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Lab } from '@flowdam/scripts/lab/lab'
import { waitFor } from '@flowdam/scripts/lab/wait'

const THRESHOLD_PPS = 10_000
const FLOOD_PPS = 5 * THRESHOLD_PPS
const VICTIM = '203.0.113.20'

// The shape of FastNetMon's own notify_about_attack.sh: four arguments, the report on standard input at a ban (it
// must be read to its end), nothing to read at an unban. The last line tells how much there was to read.
const NOTIFY = `#!/usr/bin/env bash
cd "$(dirname "$0")"
if [ "$4" = "unban" ]; then
    printf '%s\\n' "$#" "$@" > unban.part
    cat | wc -c >> unban.part
    mv unban.part unban
    exit 0
fi
if [ "$4" = "ban" ]; then
    printf '%s\\n' "$#" "$@" > ban.part
    cat > report
    mv ban.part ban
    exit 0
fi
exit 1
`

describe("a script of FastNetMon's stock notify shape as hook", () => {
  const folder = mkdtempSync(join(tmpdir(), 'flowdam-notify-'))
  const script = join(folder, 'notify_about_attack.sh')
  const lab = new Lab({
    thresholdPps: THRESHOLD_PPS,
    bgp: false,
    banDuration: '2s',
    hooks: [{ name: 'notify', run: [script], format: 'fastnetmon', timeout: '30s' }],
  })
  const written = (name: string) =>
    waitFor(`the script to write ${name}`, () => {
      const file = join(folder, name)
      return existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : undefined
    })

  before(async () => {
    writeFileSync(script, NOTIFY, { mode: 0o755 })
    await lab.start()
    const flood = lab.send({
      from: 'internet',
      args: ['--profile', 'udp-flood', '--victim', VICTIM, '--rate', String(FLOOD_PPS), '--duration', '3'],
    })
    await flood.ended()
  })
  after(async () => {
    await lab.stop()
    rmSync(folder, { recursive: true })
  })

  it('gets IP, direction, pps and "ban", with an integer rate above the threshold', async () => {
    const [count, address, direction, pps, action, ...rest] = await written('ban')
    assert.deepEqual([count, address, direction, action, rest], ['4', VICTIM, 'incoming', 'ban', []])
    assert.match(pps ?? '', /^[0-9]+$/)
    assert.ok(Number(pps) > THRESHOLD_PPS && Number(pps) < 1.5 * FLOOD_PPS, `pps ${pps}`)
  })

  it('gets the report on standard input', async () => {
    await written('ban')
    const report = readFileSync(join(folder, 'report'), 'utf8')
    assert.match(report, new RegExp(`^IP: ${VICTIM.replaceAll('.', '\\.')}$`, 'm'))
    assert.match(report, /^Attack direction: incoming$/m)
  })

  it('gets the same arguments with "unban", and nothing to read', async () => {
    const [count, address, direction, , action, bytes] = await written('unban')
    assert.deepEqual([count, address, direction, action, bytes], ['4', VICTIM, 'incoming', 'unban', '0'])
  })
})
