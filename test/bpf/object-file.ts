// SPDX-License-Identifier: Apache-2.0
//
// What a BPF object says about itself, by bpftool.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { defaultObjectPath } from '@flowdam/agent'

/** test/dist/bpf/… to the root. */
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

export interface Member {
  name: string
  offset: number
}

export interface Struct {
  size: number
  members: Member[]
}

interface BtfType {
  kind: string
  name: string
  size?: number
  members?: { name: string; bits_offset: number }[]
}

/** Every named struct in the object's BTF, offsets in bytes. */
export function structsOf(path = defaultObjectPath()): Map<string, Struct> {
  const { stdout, stderr, status } = spawnSync('bpftool', ['-j', 'btf', 'dump', 'file', path], {
    encoding: 'utf8',
    maxBuffer: 64 << 20,
  })
  if (status !== 0) throw new Error(`bpftool btf dump file ${path}: ${stderr}${stdout}`)
  const { types } = JSON.parse(stdout) as { types: BtfType[] }
  return new Map(
    types
      .filter(({ kind, name }) => kind === 'STRUCT' && name !== '(anon)')
      .map(({ name, size = 0, members = [] }) => [
        name,
        { size, members: members.map((member) => ({ name: member.name, offset: member.bits_offset / 8 })) },
      ]),
  )
}

const LAYOUT = readFileSync(`${ROOT}bpf/layout.h`, 'utf8')

/** The value of a #define of layout.h that is a plain number. */
export function defined(name: string): number {
  const text = new RegExp(`^#define ${name} (\\w+)`, 'm').exec(LAYOUT)?.[1]
  if (text === undefined) throw new Error(`bpf/layout.h defines no ${name}`)
  return Number(text)
}

/** The names of an enum of layout.h with their values. */
export function enumOf(name: string): Map<string, number> {
  const body = new RegExp(`^enum ${name} \\{([^}]*)\\}`, 'm').exec(LAYOUT)?.[1]
  if (body === undefined) throw new Error(`bpf/layout.h has no enum ${name}`)
  const members = new Map<string, number>()
  let next = 0
  for (const [, member, value] of body
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .matchAll(/(\w+)(?:\s*=\s*(\w+))?,/g)) {
    if (value !== undefined) next = Number(value)
    members.set(member as string, next++)
  }
  return members
}
