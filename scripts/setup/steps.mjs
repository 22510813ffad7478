// SPDX-License-Identifier: Apache-2.0
//
// Numbered steps with the time each took.

/** Prints "[2/5] Debian packages …" before and what was done after each step. */
export class Steps {
  #count
  #quiet
  #done = 0
  #started = performance.now()

  constructor(count, quiet) {
    this.#count = count
    this.#quiet = quiet
  }

  /** `work` gets a function to say what it is about to do, and returns what the result is. */
  async run(title, work) {
    this.#done += 1
    const started = performance.now()
    const label = `[${this.#done}/${this.#count}] ${title}`
    let announced = false
    const announce = (text) => {
      announced = true
      process.stdout.write(`${label}: ${text} …\n`)
    }
    const result = await work(announce)
    if (!this.#quiet || announced) process.stdout.write(`${label}: ${result} (${seconds(started)})\n`)
  }

  finish() {
    process.stdout.write(`ready in ${seconds(this.#started)}\n`)
  }
}

function seconds(since) {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`
}
