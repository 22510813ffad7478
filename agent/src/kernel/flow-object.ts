// SPDX-License-Identifier: Apache-2.0
import { webcrypto as crypto } from 'node:crypto'
import { existsSync } from 'node:fs'
import { FlowdamError } from '@flowdam/common'
import {
  type Geometry,
  geometry,
  HASH_KEYS,
  LAYOUT_VERSION,
  mapEntries,
  SETTINGS_SIZE,
  SettingsOffset,
} from './layout.js'
import { BpfObject } from './object.js'
import { onlineCpus } from './requirements.js'

/** Where the object is: built in the workspace, or shipped inside the installed package. */
const DEFAULT_PATHS = ['../../../build/flowdam.bpf.o', '../../bpf/flowdam.bpf.o']

export interface FlowObjectOptions {
  /** Object file; the built or shipped one by default. */
  path?: string | undefined
  /** CPUs with parts of their own; those online by default. */
  nrCpus?: number | undefined
  /** Flows per part and epoch. */
  flowSlots: number
  /** Random by default, so that nobody outside can aim for collisions. Fixed in tests. */
  hashKeys?: Uint32Array | undefined
  dropRules?: boolean | undefined
  innerKey?: boolean | undefined
  /** Fds of maps that are there already, by name, instead of new ones. */
  reuse?: ReadonlyMap<string, number> | undefined
  /** Programs to load; all by default. */
  programs?: readonly string[] | undefined
}

export interface FlowObject {
  object: BpfObject
  geometry: Geometry
}

export function defaultObjectPath(): string {
  const paths = DEFAULT_PATHS.map((path) => new URL(path, import.meta.url).pathname)
  return paths.find((path) => existsSync(path)) ?? (paths[0] as string)
}

/** Opens flowdam.bpf.o, checks its layout version, and sets its sizes and settings. Not loaded yet. */
export function openFlowObject(options: FlowObjectOptions): FlowObject {
  const object = BpfObject.open(options.path ?? defaultObjectPath())
  try {
    const sizes = geometry(options.nrCpus ?? onlineCpus(), options.flowSlots)
    writeSettings(object, sizes, options)
    for (const [name, entries] of Object.entries(mapEntries(sizes))) {
      if (!options.reuse?.has(name)) object.map(name).setMaxEntries(entries)
    }
    for (const [name, fd] of options.reuse ?? []) object.map(name).reuse(fd)
    if (options.programs) object.choosePrograms(options.programs)
    return { object, geometry: sizes }
  } catch (error) {
    object.close()
    throw error
  }
}

/** openFlowObject and load. */
export function loadFlowObject(options: FlowObjectOptions): FlowObject {
  const opened = openFlowObject(options)
  try {
    opened.object.load()
    return opened
  } catch (error) {
    opened.object.close()
    throw error
  }
}

/** `settings` has a section of its own, .rodata.settings, so that it is at offset 0 of a map of its own. */
function writeSettings(object: BpfObject, sizes: Geometry, options: FlowObjectOptions): void {
  const memory = object.maps
    .filter((map) => map.name.includes('.rodata'))
    .map((map) => map.initialValue())
    .find((bytes) => bytes.byteLength === SETTINGS_SIZE)
  if (!memory) throw wrongVersion(object, 'its settings have another size')
  const view = new DataView(memory)
  const version = view.getUint32(SettingsOffset.layoutVersion, true)
  if (version !== LAYOUT_VERSION) throw wrongVersion(object, `its layout version is ${version}`)
  const keys = options.hashKeys ?? randomHashKeys()
  for (let i = 0; i < HASH_KEYS; i++) view.setUint32(SettingsOffset.hashKeys + i * 4, keys[i] ?? 0, true)
  view.setUint32(SettingsOffset.nrCpus, sizes.nrCpus, true)
  view.setUint32(SettingsOffset.flowSlots, sizes.flowSlots, true)
  view.setUint32(SettingsOffset.indexBuckets, sizes.indexBuckets, true)
  view.setUint32(SettingsOffset.dropRules, options.dropRules ? 1 : 0, true)
  view.setUint32(SettingsOffset.innerKey, options.innerKey ? 1 : 0, true)
}

function wrongVersion(object: BpfObject, why: string): FlowdamError {
  return new FlowdamError(
    'FD_BPF_LAYOUT',
    `${object.path} does not fit this agent: ${why}, the agent's is ${LAYOUT_VERSION}`,
    { remedy: 'build both from the same source: `npm run build`' },
  )
}

/** So that nobody outside can aim for collisions. */
export function randomHashKeys(): Uint32Array {
  return crypto.getRandomValues(new Uint32Array(HASH_KEYS))
}
