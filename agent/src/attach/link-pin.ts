// SPDX-License-Identifier: Apache-2.0
import * as libbpf from '../kernel/libbpf.js'
import { type Pins, pinName } from '../kernel/pins.js'

export type LinkKind = 'xdp' | 'tcx'

/** Where an interface's link is kept over a restart. */
export class LinkPin {
  readonly #pins: Pins
  readonly #name: string

  constructor(pins: Pins, kind: LinkKind, interfaceName: string) {
    this.#pins = pins
    this.#name = linkPinName(kind, interfaceName)
  }

  keep(linkFd: number): void {
    this.#pins.pin(linkFd, this.#name)
  }

  remove(): void {
    this.#pins.remove(this.#name)
  }

  /**
   * Gives the pinned link another program, atomically: each packet meets the old one or the new one. undefined when
   * there is no link that `fits` and is attached to this interface; then the pin is gone.
   */
  adopt(
    ifindex: number,
    programFd: number,
    fits: (programId: number) => boolean,
  ): { linkFd: number } | undefined {
    const linkFd = this.#pins.get(this.#name)
    if (linkFd === undefined) return undefined
    const info = libbpf.linkInfo(linkFd)
    if (info?.ifindex === ifindex && fits(info.programId) && libbpf.linkUpdate(linkFd, programFd) >= 0) {
      return { linkFd }
    }
    // In this order: the kernel detaches at once when the last fd is closed, but some time after a pin is removed.
    this.remove()
    libbpf.closeFd(linkFd)
    return undefined
  }
}

/** The pins of all links: those of interfaces that are not wanted any more are to be removed. */
export function linkPins(pins: Pins): string[] {
  return pins.list().filter((name) => /^(xdp|tcx)_/.test(name))
}

export function linkPinName(kind: LinkKind, interfaceName: string): string {
  return `${kind}_${pinName(interfaceName)}`
}
