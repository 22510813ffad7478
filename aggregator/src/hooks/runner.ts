// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '@flowdam/common'
import type { Attack } from '../attacks/attack.js'
import type { BanActions } from '../bans/actions.js'
import type { Ban, HookAction, HookRun } from '../bans/ban.js'
import { type HookNames, isTold } from '../bans/levels.js'
import type { DropCounter } from '../drops.js'
import { hookEnvironment, hookInput } from './document.js'
import { type HookCommand, type HookOutcome, runHook } from './process.js'
import { fastnetmonReport } from './report.js'
import { callWebhook } from './webhook.js'

export interface Hook {
  name: string
  /** Absolute path and arguments; of no meaning with `url`. */
  run: readonly string[]
  /** Where the JSON document is POSTed to, instead of a process. */
  url?: string | undefined
  headers?: Readonly<Record<string, string>>
  format: 'fastnetmon' | 'json'
  timeoutMs: number
  retries: number
  /** Before the first retry; doubled before each further one. */
  backoffMs: number
  /** Between two updates while an attack lasts; 0 for none. */
  updatesMs: number
  env: Readonly<Record<string, string>>
}

export interface HookRunnerOptions {
  hooks: readonly Hook[]
  /** Processes at the same time. */
  parallel: number
  drops: DropCounter
  log: Logger
  onRun: (banId: string, run: HookRun) => void
  /** Every hook's part in a ban's unban action has ended. */
  onSettled: (banId: string) => void
  /** What is known of the ban's attack now, for JSON hooks. */
  report?: (ban: Ban) => object | undefined
  /** The attack that a ban is about, for the FastNetMon text. */
  attackOf?: (ban: Ban) => Attack | undefined
  /** Milliseconds since 1970. */
  clock?: () => number
  /** Default: from this process. */
  runProcess?: (command: HookCommand, onStart: () => void) => Promise<HookOutcome>
}

/** One hook's part in one action. */
interface Task {
  hook: Hook
  action: HookAction
  ban: Ban
  /** performance.now() of the decision. */
  decidedAt: number
  done: () => void
}

/** Tasks of one hook and prefix: run one after the other. */
interface Lane {
  waiting: Task[]
  /** Ends the pause before a retry, because a later action waits. */
  hurry: (() => void) | undefined
}

export interface HookCount {
  hook: string
  action: HookAction
  result: string
  count: number
}

/** A prefix whose hook hangs must not gather tasks without end. */
const LANE_LIMIT = 16
const LONGEST_BACKOFF_MS = 60_000

/**
 * Carries actions out: one process for each hook and action, in order for a prefix, in parallel over prefixes and
 * hooks. When an action follows before the one ahead has succeeded, the retries of the one ahead stop.
 */
export class HookRunner implements BanActions {
  readonly #options: HookRunnerOptions
  readonly #clock: () => number
  readonly #runProcess: NonNullable<HookRunnerOptions['runProcess']>
  #hooks: readonly Hook[]
  #parallel: number
  /** Taken out of the configuration since we started, by name. */
  readonly #former = new Map<string, Hook>()
  readonly #lanes = new Map<string, Lane>()
  readonly #running = new Set<Promise<void>>()
  #free: number
  readonly #queue: (() => void)[] = []
  readonly #counts = new Map<string, HookCount>()
  /** Seconds from decision to process, one call for each first attempt of a ban action; set by metrics. */
  onStartDelay: (seconds: number) => void = () => {}
  #stopping = false

  constructor(options: HookRunnerOptions) {
    this.#options = options
    this.#clock = options.clock ?? Date.now
    this.#runProcess = options.runProcess ?? runHook
    this.#hooks = options.hooks
    this.#parallel = options.parallel
    this.#free = options.parallel
  }

  /**
   * Actions from now on run these hooks; what is under way goes on as it began. One that is gone still takes back what it
   * announced.
   */
  reconfigure(hooks: readonly Hook[], parallel: number): void {
    for (const hook of this.#hooks) this.#former.set(hook.name, hook)
    for (const { name } of hooks) this.#former.delete(name)
    this.#hooks = hooks
    this.#free += parallel - this.#parallel
    this.#parallel = parallel
    this.#startWaiting()
  }

  /** Waits for running hooks, at most `ms`; retries and what waits are left to the next start. */
  async stop(ms: number): Promise<void> {
    this.#stopping = true
    for (const lane of this.#lanes.values()) lane.hurry?.()
    if (this.#running.size === 0) return
    const late = new Promise<void>((resolve) => setTimeout(resolve, ms).unref())
    await Promise.race([Promise.allSettled(this.#running), late])
  }

  get hooks(): readonly Hook[] {
    return this.#hooks
  }

  get running(): number {
    return this.#parallel - this.#free
  }

  counts(): HookCount[] {
    return [...this.#counts.values()]
  }

  run(action: HookAction, ban: Ban, decidedAt: number, names: HookNames, except: HookNames = []): void {
    const wanted = ({ name }: Hook) => isTold(names, name) && !isTold(except, name)
    const hooks = this.#hooks.filter(wanted)
    if (action === 'unban') hooks.push(...this.#formerHooks(ban).filter(wanted))
    let left = hooks.length
    const done = () => {
      left--
      if (left <= 0 && action === 'unban' && !this.#stopping) this.#options.onSettled(ban.id)
    }
    if (left === 0) {
      done()
      return
    }
    for (const hook of hooks) this.#enqueue({ hook, action, ban, decidedAt, done })
  }

  /** Tells one hook how the attack is now, unless it is still busy with this prefix: another update comes. */
  update(hook: Hook, ban: Ban): void {
    if (this.#stopping) return
    if (this.#lanes.has(laneOf(hook, ban))) this.#count(hook.name, 'update', 'skipped')
    else this.#enqueue({ hook, action: 'update', ban, decidedAt: performance.now(), done: () => {} })
  }

  /** Those that this ban's history names and the configuration no longer has. */
  #formerHooks({ id, prefix, hooks }: Ban): Hook[] {
    const told = new Set(hooks.filter(({ action }) => action === 'ban').map(({ hook }) => hook))
    // One whose turn has not come is in no history.
    for (const name of this.#former.keys()) if (this.#lanes.has(`${name} ${prefix}`)) told.add(name)
    for (const { name } of this.#hooks) told.delete(name)
    return [...told].flatMap((name) => {
      const hook = this.#former.get(name)
      if (hook) return [hook]
      const message =
        'FD_HOOK_GONE: a hook was told of this ban and is not configured any more; withdraw what it announced by hand'
      this.#options.log.error({ hook: name, prefix, ban: id }, message)
      return []
    })
  }

  #enqueue(task: Task): void {
    const key = laneOf(task.hook, task.ban)
    const lane = this.#lanes.get(key)
    if (!lane) {
      const fresh: Lane = { waiting: [task], hurry: undefined }
      this.#lanes.set(key, fresh)
      const ended = this.#work(key, fresh).finally(() => this.#running.delete(ended))
      this.#running.add(ended)
      return
    }
    lane.waiting.push(task)
    lane.hurry?.()
    if (lane.waiting.length > LANE_LIMIT) {
      // The oldest that has not begun: the newest say how things should be.
      const [dropped] = lane.waiting.splice(1, 1)
      this.#options.drops.add('hooks', 'queue_full', 1)
      dropped?.done()
    }
  }

  async #work(key: string, lane: Lane): Promise<void> {
    for (let task = lane.waiting[0]; task; task = lane.waiting[0]) {
      await this.#carryOut(task, lane)
      lane.waiting.shift()
      task.done()
      if (this.#stopping) break
    }
    this.#lanes.delete(key)
  }

  async #carryOut(task: Task, lane: Lane): Promise<void> {
    const { hook, action, ban } = task
    for (let attempt = 1; ; attempt++) {
      const run = await this.#attempt(task, attempt)
      if (run.result === 'ok') return
      const superseded = lane.waiting.length > 1
      const last = attempt > (action === 'update' ? 0 : hook.retries)
      const log = { hook: hook.name, action, prefix: ban.prefix, ban: ban.id, attempt, exit: run.exitCode }
      if (last || superseded || this.#stopping) {
        this.#options.drops.add('hooks', 'gave_up', 1)
        this.#options.log.error(
          { ...log, output: run.output.slice(-500) },
          `hook ${run.result}; ${superseded ? 'the next action goes ahead' : 'no further attempt'}`,
        )
        return
      }
      const pause = Math.min(LONGEST_BACKOFF_MS, hook.backoffMs * 2 ** (attempt - 1))
      this.#options.log.warn({ ...log, retryInMs: pause }, `hook ${run.result}; will try again`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pause)
        lane.hurry = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      lane.hurry = undefined
      if (this.#stopping) return
      // Superseded while it waited: the hook had its chance.
      if (lane.waiting.length > 1) {
        this.#options.drops.add('hooks', 'gave_up', 1)
        return
      }
    }
  }

  async #attempt(task: Task, attempt: number): Promise<HookRun> {
    const { hook, action, ban } = task
    if (this.#free <= 0) await new Promise<void>((resolve) => this.#queue.push(resolve))
    else this.#free--
    const run: HookRun = {
      hook: hook.name,
      action,
      startedUnixMs: this.#clock(),
      durationMs: 0,
      exitCode: -1,
      result: 'running',
      output: '',
      attempt,
    }
    const startedAt = performance.now()
    const text = (of: Ban) => fastnetmonReport(of, this.#options.attackOf?.(of))
    const { args, stdin } = hookInput(hook.format, action, ban, text, this.#options.report?.(ban))
    const [file = '', ...fixedArgs] = hook.run
    const command: HookCommand = {
      file,
      args: [...fixedArgs, ...args],
      stdin,
      env: { ...hookEnvironment(action, ban), FLOWDAM_HOOK: hook.name, ...hook.env },
      timeoutMs: hook.timeoutMs,
    }
    const onStart = () => {
      const delayMs = performance.now() - task.decidedAt
      if (attempt === 1 && action === 'ban') this.onStartDelay(delayMs / 1000)
      this.#options.log.info(
        {
          hook: hook.name,
          action,
          prefix: ban.prefix,
          ban: ban.id,
          attempt,
          sinceDecisionMs: Math.round(delayMs * 10) / 10,
        },
        'hook started',
      )
      this.#options.onRun(ban.id, { ...run })
    }
    const { url, headers = {}, timeoutMs } = hook
    const outcome =
      url === undefined
        ? await this.#runProcess(command, onStart)
        : await callWebhook({ url, headers, body: stdin, timeoutMs }, onStart)
    const waiting = this.#queue.shift()
    if (waiting && this.#free >= 0) waiting()
    else {
      if (waiting) this.#queue.unshift(waiting)
      this.#free++
    }
    const ended: HookRun = { ...run, ...outcome, durationMs: Math.round(performance.now() - startedAt) }
    this.#count(ended.hook, ended.action, ended.result)
    this.#options.onRun(ban.id, ended)
    return ended
  }

  #startWaiting(): void {
    while (this.#free > 0 && this.#queue.length > 0) {
      this.#free--
      this.#queue.shift()?.()
    }
  }

  #count(hook: string, action: HookAction, result: string): void {
    const key = `${hook} ${action} ${result}`
    const known = this.#counts.get(key)
    if (known) known.count++
    else this.#counts.set(key, { hook, action, result, count: 1 })
  }
}

function laneOf(hook: Hook, ban: Ban): string {
  return `${hook.name} ${ban.prefix}`
}
