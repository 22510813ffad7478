// SPDX-License-Identifier: Apache-2.0
import { describeError, type Logger } from '@flowdam/common'
import type { Attack } from '../attacks/attack.js'
import type { BanActions } from '../bans/actions.js'
import type { Ban, HookAction, HookRun } from '../bans/ban.js'
import { type HookNames, isTold } from '../bans/levels.js'
import type { DropCounter } from '../drops.js'
import { hookEnvironment, hookInput } from './document.js'
import { FormerHooks } from './former.js'
import { type Hook, isSameCommand } from './hook.js'
import { type HookCommand, type HookOutcome, runHook } from './process.js'
import { fastnetmonReport } from './report.js'
import { Slots } from './slots.js'
import { callWebhook } from './webhook.js'

export interface HookRunnerOptions {
  hooks: readonly Hook[]
  /** Calls of one hook at the same time. */
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
  /** performance.now() of the decision; undefined for what is only repeated. */
  decidedAt: number | undefined
  /** `hook` is as it was before a reload. */
  former: boolean
  /** Whether it is as it should be now. */
  done: (ok: boolean) => void
}

/** Tasks of one hook and prefix: run one after the other. */
interface Lane {
  /** The first is under way. */
  waiting: Task[]
  /** Ends the pause before a retry. */
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
/** A route that nobody could withdraw is still tried to, ever more rarely, for a day. */
const LONGEST_UNBAN_PAUSE_MS = 900_000
const UNBAN_TRIES_MS = 86_400_000

/**
 * Carries actions out: one process for each hook and action, in order for a prefix, in parallel over prefixes and
 * hooks. When an action follows before the one ahead has succeeded, the retries of the one ahead stop. Each hook has its
 * own places, so that one that hangs holds up no other.
 */
export class HookRunner implements BanActions {
  readonly #options: HookRunnerOptions
  readonly #clock: () => number
  readonly #runProcess: NonNullable<HookRunnerOptions['runProcess']>
  #hooks: readonly Hook[]
  #parallel: number
  readonly #former = new FormerHooks()
  readonly #lanes = new Map<string, Lane>()
  readonly #running = new Set<Promise<void>>()
  /** By the hook's name. */
  readonly #slots = new Map<string, Slots>()
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
  }

  /**
   * Actions from now on run these hooks; one that is gone, or does something else now, still takes back what it
   * announced. Returns the names of those that are new or do something else: they know of no ban.
   */
  reconfigure(hooks: readonly Hook[], parallel: number): string[] {
    const fresh = this.#former.reload(this.#hooks, hooks, this.#clock())
    this.#hooks = hooks
    this.#parallel = parallel
    for (const slots of this.#slots.values()) slots.resize(parallel)
    // A ban that cannot be announced the old way is no longer tried to be.
    for (const lane of this.#lanes.values()) {
      const [task] = lane.waiting
      if (task && !this.#isWanted(task)) lane.hurry?.()
    }
    return fresh
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
    let used = 0
    for (const slots of this.#slots.values()) used += slots.used
    return used
  }

  counts(): HookCount[] {
    return [...this.#counts.values()]
  }

  run(
    action: HookAction,
    ban: Ban,
    decidedAt: number | undefined,
    names: HookNames,
    except: HookNames = [],
  ): void {
    const wanted = ({ name }: Hook) => isTold(names, name) && !isTold(except, name)
    const parts = this.#hooks.filter(wanted).map((hook) => ({ hook, former: false }))
    if (action === 'unban') {
      for (const hook of this.#formerHooks(ban).filter(wanted)) parts.push({ hook, former: true })
    }
    let left = parts.length
    let allOk = true
    const done = (ok: boolean) => {
      left--
      allOk &&= ok
      if (left <= 0 && allOk && action === 'unban' && !this.#stopping) this.#options.onSettled(ban.id)
    }
    if (left === 0) {
      done(true)
      return
    }
    for (const part of parts) this.#enqueue({ ...part, action, ban, decidedAt, done })
  }

  /** Tells one hook how the attack is now, unless it is still busy with this prefix: another update comes. */
  update(hook: Hook, ban: Ban): void {
    if (this.#stopping) return
    if (this.#lanes.has(laneOf(hook, ban))) this.#count(hook.name, 'update', 'skipped')
    else {
      const decidedAt = performance.now()
      this.#enqueue({ hook, former: false, action: 'update', ban, decidedAt, done: () => {} })
    }
  }

  /** What this ban may have been announced by and the configuration no longer has. */
  #formerHooks({ id, prefix, bannedUnixMs, hooks }: Ban): Hook[] {
    const told = new Set(hooks.filter(({ action }) => action === 'ban').map(({ hook }) => hook))
    // One whose turn has not come is in no history.
    for (const name of this.#former.names) if (this.#lanes.has(`${name} ${prefix}`)) told.add(name)
    const changed = this.#hooks.flatMap((now) => this.#former.of(now.name, bannedUnixMs, now))
    for (const { name } of this.#hooks) told.delete(name)
    const gone = [...told].flatMap((name) => {
      const known = this.#former.of(name, bannedUnixMs, undefined)
      if (known.length > 0) return known
      const message =
        'FD_HOOK_GONE: a hook was told of this ban and is not configured any more; withdraw what it announced by hand'
      this.#options.log.error({ hook: name, prefix, ban: id }, message)
      return []
    })
    return [...changed, ...gone]
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
      dropped?.done(true)
    }
  }

  async #work(key: string, lane: Lane): Promise<void> {
    for (let task = lane.waiting[0]; task; task = lane.waiting[0]) {
      const ok = await this.#carryOut(task, lane)
      const superseded = isSuperseded(lane)
      lane.waiting.shift()
      // Who says `retry_every: off` does not mind.
      const enough = task.hook.retryEveryMs === 0 && !task.former && !this.#stopping
      task.done(ok || superseded || enough)
      if (this.#stopping) break
    }
    this.#lanes.delete(key)
  }

  /** Whether it succeeded. */
  async #carryOut(task: Task, lane: Lane): Promise<boolean> {
    const { hook, action, ban } = task
    const beganAt = performance.now()
    for (let attempt = 1; ; attempt++) {
      const run = await this.#attempt(task, attempt)
      if (run.result === 'ok') return true
      const about = { hook: hook.name, action, prefix: ban.prefix, ban: ban.id, attempt, exit: run.exitCode }
      const pause = this.#pause(task, attempt, lane, performance.now() - beganAt)
      const log = { ...about, output: run.output.slice(-500) }
      if (pause === undefined) {
        this.#options.drops.add('hooks', 'gave_up', 1)
        const next = isSuperseded(lane) ? 'the next action goes ahead' : 'no further attempt'
        this.#options.log.error(log, `hook ${run.result}; ${next}`)
        return false
      }
      const level = attempt === hook.retries + 1 ? 'error' : 'warn'
      this.#options.log[level]({ ...log, retryInMs: pause }, `hook ${run.result}; will try again`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pause)
        timer.unref()
        lane.hurry = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      lane.hurry = undefined
      if (this.#stopping) return false
      // Overtaken while it waited: the hook had its chance.
      if (isSuperseded(lane) || !this.#isWanted(task)) {
        this.#options.drops.add('hooks', 'gave_up', 1)
        return false
      }
    }
  }

  /** Before the next attempt; undefined when there is none. */
  #pause({ hook, action, ...task }: Task, attempt: number, lane: Lane, sinceMs: number): number | undefined {
    if (this.#stopping || isSuperseded(lane) || action === 'update') return undefined
    if (attempt <= hook.retries) return Math.min(LONGEST_BACKOFF_MS, hook.backoffMs * 2 ** (attempt - 1))
    if (hook.retryEveryMs === 0 || task.former || lane.waiting.length > 1) return undefined
    // As long as the ban lasts: its end goes ahead.
    if (action === 'ban') return hook.retryEveryMs
    if (sinceMs > UNBAN_TRIES_MS) return undefined
    const slower = hook.retryEveryMs * 2 ** Math.min(attempt - hook.retries - 1, 20)
    return Math.max(hook.retryEveryMs, Math.min(LONGEST_UNBAN_PAUSE_MS, slower))
  }

  /** A ban is not announced by what a reload took away. */
  #isWanted({ hook, action }: Task): boolean {
    if (action !== 'ban') return true
    return this.#hooks.some((now) => now.name === hook.name && isSameCommand(now, hook))
  }

  async #attempt(task: Task, attempt: number): Promise<HookRun> {
    const { hook, action, ban, decidedAt } = task
    const slots = this.#slotsOf(hook)
    await slots.take(action === 'ban' && attempt === 1 && decidedAt !== undefined)
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
    const onStart = () => {
      const delayMs = performance.now() - (decidedAt ?? startedAt)
      if (attempt === 1 && action === 'ban' && decidedAt !== undefined) this.onStartDelay(delayMs / 1000)
      const since = decidedAt === undefined ? {} : { sinceDecisionMs: Math.round(delayMs * 10) / 10 }
      this.#options.log.info(
        { hook: hook.name, action, prefix: ban.prefix, ban: ban.id, attempt, ...since },
        'hook started',
      )
      this.#options.onRun(ban.id, { ...run })
    }
    const outcome = await this.#call(task, onStart)
    slots.give()
    const ended: HookRun = { ...run, ...outcome, durationMs: Math.round(performance.now() - startedAt) }
    this.#count(ended.hook, ended.action, ended.result)
    this.#options.onRun(ban.id, ended)
    return ended
  }

  /** Never throws: what cannot be told of a ban must cost no more than this attempt. */
  async #call({ hook, action, ban }: Task, onStart: () => void): Promise<HookOutcome> {
    try {
      const text = (of: Ban) => fastnetmonReport(of, this.#options.attackOf?.(of))
      const { args, stdin } = hookInput(hook.format, action, ban, text, this.#options.report?.(ban))
      const { url, headers = {}, timeoutMs } = hook
      if (url !== undefined) return await callWebhook({ url, headers, body: stdin, timeoutMs }, onStart)
      const [file = '', ...fixedArgs] = hook.run
      const env = { ...hookEnvironment(action, ban), FLOWDAM_HOOK: hook.name, ...hook.env }
      return await this.#runProcess({ file, args: [...fixedArgs, ...args], stdin, env, timeoutMs }, onStart)
    } catch (error) {
      return { result: 'failed', exitCode: -1, output: describeError(error) }
    }
  }

  #slotsOf({ name }: Hook): Slots {
    const known = this.#slots.get(name)
    if (known) return known
    const slots = new Slots(this.#parallel)
    this.#slots.set(name, slots)
    return slots
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

/**
 * Whether what waits stands for the task under way. The unban of a hook as it was before a reload does not stand for that
 * of the hook as it is.
 */
function isSuperseded({ waiting: [task, ...next] }: Lane): boolean {
  if (!task) return false
  return next.some(
    ({ action, hook }) => action !== 'unban' || isSameCommand(hook, task.hook) || task.action !== 'unban',
  )
}
