// SPDX-License-Identifier: Apache-2.0
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The checkout; this file is compiled to scripts/dist/lab/. */
export const ROOT = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))))
