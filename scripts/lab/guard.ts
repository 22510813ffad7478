// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

// Waits for the end of its input, which comes when we close it or die, in whatever way. Signals from the terminal
// must not end it early.
const SCRIPT = `
trap '' INT TERM HUP QUIT
folder=$1
shift
cat >/dev/null
for namespace in "$@"; do
  # Until they are gone: one that is ending could still write into the folder.
  for try in 1 2 3 4 5 6 7 8 9 10; do
    pids=$(ip netns pids "$namespace" 2>/dev/null)
    [ -n "$pids" ] || break
    kill -KILL $pids 2>/dev/null
    sleep 0.$try
  done
  ip netns delete "$namespace" 2>/dev/null
done
# A BPF file system, where a test has one.
awk -v folder="$folder/" 'index($2, folder) == 1 { print $2 }' /proc/mounts | xargs -r umount --lazy 2>/dev/null
rm -rf "$folder"
`

/**
 * Takes namespaces, the processes inside them and a folder away when this process ends, even by SIGKILL. It is a
 * process of its own, so it is started before the first namespace.
 */
export class Guard {
  readonly #folder: string
  readonly #namespaces: readonly string[]
  #child: ChildProcess | undefined

  constructor(folder: string, namespaces: readonly string[]) {
    this.#folder = folder
    this.#namespaces = namespaces
  }

  start(): void {
    this.#child = spawn('sh', ['-c', SCRIPT, 'lab-guard', this.#folder, ...this.#namespaces], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    })
  }

  /** Everything is gone when this returns. */
  async stop(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (!child || child.exitCode !== null) return
    const ended = once(child, 'exit')
    child.stdin?.end()
    await ended
  }
}
