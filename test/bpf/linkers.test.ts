// SPDX-License-Identifier: Apache-2.0
//
// The object by bpf-linker and the one by `bpftool gen object`: the same programs and maps, and the kernel takes both.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { before, describe, it } from 'node:test'
import { BpfObject, openFlowObject } from '@flowdam/agent'
import { Counter, lawBreaches } from './counter.js'
import { ROOT, structsOf } from './object-file.js'
import { VECTORS } from './vectors.js'

const OBJECTS = { 'bpf-linker': `${ROOT}build/flowdam.bpf.o`, bpftool: `${ROOT}build/flowdam.bpftool.bpf.o` }

function build(linker: string): void {
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    [`${ROOT}scripts/build-bpf.mjs`, `--linker=${linker}`],
    { encoding: 'utf8' },
  )
  assert.equal(status, 0, stderr + stdout)
}

function contents(path: string) {
  const object = BpfObject.open(path)
  try {
    const programs = object.programs.map(({ name, section }) => ({ name, section }))
    const maps = object.maps.map(({ name, keySize, valueSize, maxEntries }) => ({
      name,
      keySize,
      valueSize,
      maxEntries,
    }))
    const byName = (a: { name: string }, b: { name: string }) => a.name.localeCompare(b.name)
    return { programs: programs.sort(byName), maps: maps.sort(byName) }
  } finally {
    object.close()
  }
}

describe('both linkers', {
  skip: spawnSync('bpf-linker', ['--version']).error && 'no bpf-linker here',
}, () => {
  before(() => Object.keys(OBJECTS).forEach(build))

  it('make the same programs and maps', () => {
    const [one, other] = Object.values(OBJECTS).map(contents)
    assert.deepEqual(one, other)
    assert.deepEqual(
      one?.programs.map(({ name }) => name),
      ['flowdam_tc', 'flowdam_xdp', 'flowdam_xdp_frags'],
    )
  })

  it('keep the types of all that user space reads', () => {
    const [one, other] = Object.values(OBJECTS).map((path) => structsOf(path))
    for (const name of [
      'flow_record',
      'ledger',
      'part_state',
      'control',
      'iface_entry',
      'settings',
      'index_bucket',
      'drop_rule',
    ]) {
      assert.ok(one?.has(name), name)
      assert.deepEqual(one?.get(name), other?.get(name))
    }
  })

  it('make objects that count the same', () => {
    const results = Object.values(OBJECTS).map((path) => {
      const counter = new Counter({ path, hashKeys: new Uint32Array(10).fill(12345) })
      try {
        for (const { packet } of VECTORS) counter.run('flowdam_xdp_frags', packet)
        const counted = counter.counted()
        assert.deepEqual(lawBreaches(counted), [])
        for (const flow of [...counted.flows, ...counted.overflow]) {
          flow.firstMs = 0
          flow.durationMs = 0
        }
        return counted
      } finally {
        counter.close()
      }
    })
    assert.deepEqual(results[0], results[1])
    assert.equal(results[0]?.ledger.seenPackets, VECTORS.length)
  })

  for (const [linker, path] of Object.entries(OBJECTS)) {
    for (const [how, options] of Object.entries({
      'as they are': {},
      'with drop rules and inner keys': { dropRules: true, innerKey: true },
    })) {
      it(`make programs that the verifier accepts ${how} (${linker})`, (t) => {
        const { object } = openFlowObject({ path, flowSlots: 65_536, ...options })
        try {
          object.load()
          for (const program of object.programs) {
            t.diagnostic(
              `${program.name}: ${program.instructions} instructions, verified ${verified(program.fd)}`,
            )
          }
        } finally {
          object.close()
        }
      })
    }
  }
})

/** Instructions that the verifier walked through, of at most a million. */
function verified(fd: number): string {
  const info = spawnSync('sh', ['-c', `grep verified_insns /proc/${process.pid}/fdinfo/${fd}`], {
    encoding: 'utf8',
  })
  return /\d+/.exec(info.stdout)?.[0] ?? 'an unknown number of'
}
