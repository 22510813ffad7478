// SPDX-License-Identifier: Apache-2.0
import { randomInt } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { FlowdamError, syncFolder } from '@flowdam/common'
import { SIDECAR_VERSION } from './sidecar.js'

/** A random number made with the folder. A folder that was deleted and made again is another spool. */
export async function spoolIdentity(directory: string): Promise<number> {
  const path = join(directory, 'spool.json')
  try {
    return (JSON.parse(await readFile(path, 'utf8')) as { id: number }).id
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw new FlowdamError('FD_SPOOL_UNREADABLE', `${path} cannot be read`, {
        cause,
        remedy: `move ${basename(directory)} away if its flows may be lost, or restore the file`,
      })
    }
  }
  const id = randomInt(1, 2 ** 31)
  await writeFile(`${path}.new`, JSON.stringify({ id, version: SIDECAR_VERSION }), { flush: true })
  await rename(`${path}.new`, path)
  await syncFolder(directory)
  return id
}
