// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { BpfObject } from './object.js'
import {
  checkCapabilities,
  checkKernel,
  isUntriedKernel,
  kernelAtLeast,
  missingCapabilities,
  onlineCpus,
} from './requirements.js'

const status = (effective: bigint) => `Name:\tx\nCapEff:\t${effective.toString(16).padStart(16, '0')}\n`
const bit = (n: number) => 1n << BigInt(n)

describe('what the agent needs', () => {
  it('a kernel from 5.15 on', () => {
    checkKernel('5.15.0-91-generic')
    checkKernel('6.18.44')
    for (const old of ['5.14.0-427.el9.x86_64', '5.10.0-46-amd64', '4.19.0']) {
      assert.throws(() => checkKernel(old), { code: 'FD_KERNEL_TOO_OLD', message: /5\.15 or newer/ })
    }
    assert.ok(isUntriedKernel('5.15.0-91-generic'))
    assert.ok(!isUntriedKernel('6.1.0-13-amd64'))
    assert.ok(kernelAtLeast('5.18', '6.1.0-13-amd64'))
    assert.ok(!kernelAtLeast('6.6', '6.1.0-13-amd64'))
  })

  it('three capabilities, and says which are missing', () => {
    assert.deepEqual(missingCapabilities(status(0n)), ['CAP_NET_ADMIN', 'CAP_PERFMON', 'CAP_BPF'])
    assert.deepEqual(missingCapabilities(status(bit(12) | bit(39))), ['CAP_PERFMON'])
    assert.deepEqual(
      missingCapabilities(status(bit(12) | bit(21))),
      [],
      'CAP_SYS_ADMIN includes CAP_BPF and CAP_PERFMON',
    )
    assert.throws(() => checkCapabilities(status(bit(39))), {
      code: 'FD_NOT_PERMITTED',
      message: 'this process lacks CAP_NET_ADMIN, CAP_PERFMON',
    })
  })

  it('the highest id of an online CPU, not their number', () => {
    assert.equal(onlineCpus('0-1\n'), 2)
    assert.equal(onlineCpus('0,4-7,12\n'), 13)
  })

  it('an object file', () => {
    assert.throws(() => BpfObject.open('/nonexistent.o'), { code: 'FD_BPF_OBJECT_MISSING' })
  })
})
