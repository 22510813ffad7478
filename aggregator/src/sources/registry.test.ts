// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { Boundary, type InterfaceTable } from '@flowdam/proto'
import { SourceRegistry } from './registry.js'

const table = (boundary: Boundary): InterfaceTable => ({
  interfaces: [{ index: 3, name: 'eth0', ifindex: 2, boundary, attachMode: 'native', speedBps: 0 }],
})

describe('source registry', () => {
  let directory: string
  let registry: SourceRegistry
  const reopen = () => {
    registry.stop()
    registry = new SourceRegistry(directory)
    registry.start()
  }
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'flowdam-sources-'))
    registry = new SourceRegistry(directory)
    registry.start()
  })
  afterEach(() => {
    registry.stop()
    rmSync(directory, { recursive: true })
  })

  it('gives a number for good, also over a restart', () => {
    const one = registry.number('edge1', 'eth0', false, 'external')
    const two = registry.number('edge1', 'eth0', true, 'external')
    assert.deepEqual([one, two], [1, 2])
    reopen()
    assert.equal(registry.number('edge1', 'eth0', true, 'external'), two)
    assert.equal(registry.number('edge2', 'eth0', true, 'external'), 3)
    assert.equal(registry.get(1)?.direction, 'ingress')
  })

  it('a changed boundary is another source: stored rows keep theirs', () => {
    const ifaces = new Uint16Array(256)
    registry.fill(ifaces, 'edge1', table(Boundary.BOUNDARY_EXTERNAL))
    assert.deepEqual([ifaces[3], ifaces[0x83], ifaces[0]], [1, 2, 0])
    registry.fill(ifaces, 'edge1', table(Boundary.BOUNDARY_INTERNAL))
    assert.deepEqual([ifaces[3], ifaces[0x83]], [3, 4])
    assert.deepEqual(
      registry.ofAgents(new Set(['edge1'])).map(({ number, boundary }) => [number, boundary]),
      [
        [1, 'external'],
        [2, 'external'],
        [3, 'internal'],
        [4, 'internal'],
      ],
    )
  })

  it('gives no number out that the disk had room for in part only', () => {
    // What a file may grow to stands for a disk that fills up in the middle of a line.
    const program = `
      import { SourceRegistry } from ${JSON.stringify(new URL('./registry.js', import.meta.url).href)}
      const registry = new SourceRegistry(process.argv[1])
      registry.start()
      const given = []
      try {
        for (let i = 0; i < 1000; i++) given.push(registry.number('edge1', 'eth' + i, false, 'external'))
      } catch {}
      console.log(given.length)`
    const shell = 'ulimit -f 8; exec "$0" --input-type=module -e "$1" "$2"'
    const given = Number(execFileSync('sh', ['-c', shell, process.execPath, program, directory]))
    assert.ok(given > 0 && given < 1000, `${given} numbers`)
    reopen()
    assert.equal(registry.all().length, given)
    assert.equal(registry.number('edge2', 'eth0', false, 'external'), given + 1)
  })

  it('cuts a torn last line', () => {
    registry.number('édge', 'eth0', false, 'external')
    appendFileSync(join(directory, 'sources.jsonl'), '{"number":2,"agent":"ha')
    reopen()
    assert.equal(registry.number('edge1', 'eth0', false, 'external'), 2)
    reopen()
    assert.equal(registry.all().length, 2)
  })

  it('one agent cannot take all the numbers', () => {
    for (let i = 0; i < 3000; i++) registry.number('hostile', `if${i}`, false, 'external')
    assert.equal(registry.number('hostile', 'one more', false, 'external'), 0)
    assert.equal(registry.all().length, 2048)
    assert.equal(registry.number('edge1', 'eth0', false, 'external'), 2049)
    reopen()
    assert.equal(registry.number('hostile', 'one more', false, 'external'), 0)
    assert.equal(registry.number('hostile', 'if5', false, 'external'), 6)
  })

  it('is on the disk when sync() says so', async () => {
    registry.number('edge1', 'eth0', false, 'external')
    await Promise.all([registry.sync(), registry.sync()])
    assert.match(readFileSync(join(directory, 'sources.jsonl'), 'utf8'), /"agent":"edge1"/)
  })

  it('refuses a journal that was tampered with, rather than give a number twice', () => {
    writeFileSync(join(directory, 'sources.jsonl'), '{"number":5,"agent":"a"}\n')
    assert.throws(reopen, { code: 'FD_SOURCES_UNREADABLE' })
    registry = new SourceRegistry(directory)
  })
})
