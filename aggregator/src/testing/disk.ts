// SPDX-License-Identifier: Apache-2.0
import { type FileHandle, open } from 'node:fs/promises'
import type { OpenFile } from '../spool/segment.js'

/** A disk that tests can make slow, full or broken. Files are real. */
export class TestDisk {
  /** Awaited before each write and sync. */
  gate: Promise<void> | undefined
  /** Thrown by the next so many operations of this kind. */
  failing: { on: 'writev' | 'datasync' | 'open'; code: string; times: number } | undefined
  /** Syncs done. */
  syncs = 0

  readonly openFile: OpenFile = async (path, flags) => {
    await this.#pass('open')
    return this.#watched(await open(path, flags))
  }

  /** Stops all writing until the returned function is called. */
  stall(): () => void {
    let go = () => {}
    this.gate = new Promise((resolve) => {
      go = () => {
        this.gate = undefined
        resolve()
      }
    })
    return go
  }

  async #pass(operation: 'writev' | 'datasync' | 'open'): Promise<void> {
    await this.gate
    if (operation === 'datasync') this.syncs++
    const { failing } = this
    if (!failing || failing.on !== operation || failing.times === 0) return
    failing.times--
    throw Object.assign(new Error(`${failing.code}: injected, ${operation}`), { code: failing.code })
  }

  #watched(file: FileHandle): FileHandle {
    return new Proxy(file, {
      get: (target, name) => {
        if (name !== 'writev' && name !== 'datasync') {
          const value = Reflect.get(target, name, target) as unknown
          return typeof value === 'function' ? value.bind(target) : value
        }
        return async (...args: Parameters<FileHandle['writev']>) => {
          if (name === 'datasync') {
            await target.datasync()
            return this.#pass(name)
          }
          await this.#pass(name)
          // A failing disk may have written a part.
          return target.writev(...args)
        }
      },
    })
  }
}
