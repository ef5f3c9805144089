import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pause } from '../support/program.ts'
import { atExit } from './at-exit.ts'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const START_MS_MAX = 120_000
/** As an orchestrator does it. */
const RESTART_MS = 300
const OUTPUT_CHARS = 4_000

export interface MemberOptions {
  /** Such as `waf-1`. */
  readonly name: string
  readonly pipeline: string
  readonly stateFolder: string
  readonly statusPort: number
  readonly env: Readonly<Record<string, string>>
}

/** One `haetae run`, started again whenever it ends, as a Deployment does; in a process group of its own. */
export class Member {
  readonly name: string
  readonly pipeline: string
  readonly stateFolder: string
  readonly #options: MemberOptions
  readonly #clockFile: string
  #child: ChildProcess | undefined
  #exit: Promise<number | undefined> = Promise.resolve(undefined)
  #output = ''
  #wanted = false
  /** Processes that were told to end. */
  readonly #asked = new WeakSet<ChildProcess>()
  /** An end that nobody asked for is told with the last lines of the log. */
  readonly ownEnds: string[] = []
  starts = 0
  readonly #forget = atExit(() => this.#signal('SIGKILL'))

  constructor(options: MemberOptions) {
    this.name = options.name
    this.pipeline = options.pipeline
    this.stateFolder = options.stateFolder
    this.#options = options
    this.#clockFile = `${options.stateFolder}.clock`
  }

  /** The end of what it wrote to stderr. */
  get output(): string {
    return this.#output
  }

  start(): void {
    this.#wanted = true
    this.starts++
    this.#output = ''
    mkdirSync(this.stateFolder, { recursive: true, mode: 0o700 })
    const { pipeline, statusPort, env } = this.#options
    const hooks = ['clock', 'plant'].map(hook => `--import=${new URL(`hooks/${hook}.ts`, import.meta.url).href}`)
    const file = join('pipelines', `${pipeline}.yaml`)
    const child = spawn(process.execPath, ['--max-semi-space-size=8', 'pipelines/haetae.mjs', 'run', file], {
      cwd: ROOT,
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        ...process.env,
        ...env,
        // As the launcher sets it, which then need not start the process again.
        MALLOC_ARENA_MAX: '2',
        NODE_OPTIONS: hooks.join(' '),
        HAETAE_STATE: this.stateFolder,
        HAETAE_STATUS_PORT: String(statusPort),
        HAETAE_TEST_CLOCK_FILE: this.#clockFile,
      },
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#output = (this.#output + text).slice(-OUTPUT_CHARS)
    })
    this.#child = child
    this.#exit = new Promise(resolve => {
      child.once('exit', code => resolve(code ?? undefined))
    })
    child.once('exit', (code, signal) => void this.#ended(child, code, signal))
  }

  async #ended(child: ChildProcess, code: number | null, signal: NodeJS.Signals | null): Promise<void> {
    if (!this.#asked.has(child)) this.ownEnds.push(`${this.name}: ${signal ?? code}: ${this.#output.slice(-600)}`)
    await pause(RESTART_MS)
    if (this.#wanted && this.#child === child) this.start()
  }

  get #alive(): ChildProcess | undefined {
    const child = this.#child
    return child && child.exitCode === null && child.signalCode === null ? child : undefined
  }

  #signal(signal: NodeJS.Signals): boolean {
    const child = this.#alive
    if (child?.pid === undefined) return false
    if (signal === 'SIGKILL' || signal === 'SIGTERM') this.#asked.add(child)
    try {
      return process.kill(-child.pid, signal)
    } catch {
      return false // It ended a moment ago.
    }
  }

  /** As a crash does; it is started again. */
  async kill(): Promise<void> {
    this.#signal('SIGKILL')
    await this.#exit
  }

  freeze(): void {
    this.#signal('SIGSTOP')
  }

  thaw(): void {
    this.#signal('SIGCONT')
  }

  /** SIGTERM; it is started again. Resolves with the exit code. */
  terminate(): Promise<number | undefined> {
    this.#signal('SIGTERM')
    return this.#exit
  }

  /** SIGTERM, and not started again. Resolves with the exit code: undefined when it was killed or did not run. */
  async stop(): Promise<number | undefined> {
    this.#wanted = false
    if (!this.#alive) return undefined
    return this.terminate()
  }

  /** Ends it for good, whatever it does. */
  async remove(): Promise<void> {
    this.#wanted = false
    await this.kill()
    this.#forget()
  }

  /** Its clock is wrong by so much from now on, also after a restart. */
  shiftClock(ms: number): void {
    writeFileSync(this.#clockFile, String(ms))
    // Before its first module is loaded, the signal would end it; a process that starts reads the file anyway.
    if (this.#ready) this.#signal('SIGUSR2')
  }

  get #ready(): boolean {
    return this.#output.includes('"running"') && this.#alive !== undefined
  }

  async ready(): Promise<void> {
    const untilMs = Date.now() + START_MS_MAX
    for (;;) {
      const answer = await fetch(`http://127.0.0.1:${this.#options.statusPort}/readyz`, {
        signal: AbortSignal.timeout(5_000),
      }).catch(() => undefined)
      await answer?.arrayBuffer().catch(() => undefined)
      if (answer?.status === 200) return
      if (Date.now() > untilMs) throw new Error(`${this.name} was not ready in time:\n${this.#output}`)
      await pause(100)
    }
  }
}
