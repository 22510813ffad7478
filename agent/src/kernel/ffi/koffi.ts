// SPDX-License-Identifier: Apache-2.0
import type { KoffiFunc, LibraryHandle } from 'koffi'

export type Koffi = typeof import('koffi')

type Call<T extends (...args: never[]) => unknown> = KoffiFunc<T>

/** A function of a library by its C declaration. */
export function func<T extends (...args: never[]) => unknown>(from: LibraryHandle, text: string): Call<T> {
  return from.func(text) as unknown as Call<T>
}
