import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connectOwner } from '../../platform/topics/client.ts'
import { freePorts } from './free-ports.ts'

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const START_MS_MAX = 60_000
const CATCH_UP_MS_MAX = 300_000
const KEY = 'test-key-of-the-fault-tests'

/** What `npm start` gives to node. */
function startArguments(): readonly string[] {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: { start: string } }
  const [program, ...given] = scripts.start.split(' ')
  if (program !== 'node' || given.at(-1) !== 'up') throw new Error(`npm start is something else now: ${scripts.start}`)
  return given
}

export interface ProgramOptions {
  readonly stateFolder: string
  readonly lakeFolder: string
  readonly env?: NodeJS.ProcessEnv
  /** What is run; `up` without the sample when left out. */
  readonly command?: readonly string[]
  /** false: not waited for until it is ready, only until it answers. */
  readonly ready?: boolean
}

/** `npm start` with its flags, or another command, in a process group of its own; without the sample, as the tests count what is stored. */
export class Program {
  readonly key = KEY
  readonly #child: ChildProcess
  readonly #stateFolder: string
  readonly #exit: Promise<number | undefined>
  readonly ingestPort: number
  readonly statusPort: number
  #output = ''

  private constructor(child: ChildProcess, stateFolder: string, ingestPort: number, statusPort: number) {
    this.#child = child
    this.#stateFolder = stateFolder
    this.ingestPort = ingestPort
    this.statusPort = statusPort
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#output = (this.#output + text).slice(-20_000)
    })
    this.#exit = new Promise(resolve => {
      child.once('exit', code => resolve(code ?? undefined))
    })
  }

  static async start(options: ProgramOptions): Promise<Program> {
    const { stateFolder, lakeFolder, env = {}, command, ready = true } = options
    const [ingestPort = 0, statusPort = 0] = await freePorts(2)
    const args = command ? [join(ROOT, 'pipelines', 'haetae.mjs'), ...command] : [...startArguments(), '--no-sample']
    const child = spawn(process.execPath, args, {
      cwd: ROOT,
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        ...process.env,
        OPENSEARCH_URL: '',
        HAETAE_FIREHOSE_KEY: KEY,
        HAETAE_STATE: stateFolder,
        HAETAE_LAKE: lakeFolder,
        HAETAE_INGEST_PORT: String(ingestPort),
        HAETAE_STATUS_PORT: String(statusPort),
        ...env,
      },
    })
    const program = new Program(child, stateFolder, ingestPort, statusPort)
    await program.#answers(ready)
    return program
  }

  /** The end of what it wrote to stderr, for the message of a failed test. */
  get output(): string {
    return this.#output
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  async #answers(ready: boolean): Promise<void> {
    const deadlineMs = Date.now() + START_MS_MAX
    while (Date.now() < deadlineMs) {
      if (this.#child.exitCode !== null) throw new Error(`haetae ended at its start:\n${this.#output}`)
      const answer = await fetch(`http://127.0.0.1:${this.statusPort}/readyz`).catch(() => undefined)
      await answer?.arrayBuffer()
      if (answer?.status === 200 || (answer && !ready)) return
      await pause(50)
    }
    await this.kill()
    throw new Error(`haetae was not ready in time:\n${this.#output}`)
  }

  /** SIGKILL to the whole group; resolves when the process is gone and its port is seen closed. */
  async kill(): Promise<void> {
    if (this.running) process.kill(-this.pid, 'SIGKILL')
    await this.#exit
    while (await listens(this.ingestPort)) await pause(10)
  }

  /** Resolves when every consumer has committed everything that was appended. */
  async caughtUp(): Promise<void> {
    const owner = await connectOwner(join(this.#stateFolder, 'topics'))
    if (!owner) throw new Error(`haetae does not own its log:\n${this.#output}`)
    try {
      const deadlineMs = Date.now() + CATCH_UP_MS_MAX
      for (;;) {
        const lag = await owner.lag()
        if (lag.every(({ committed, end }) => committed === end)) return
        if (Date.now() > deadlineMs) throw new Error(`haetae did not catch up:\n${this.#output}`)
        await pause(100)
      }
    } finally {
      owner.close()
    }
  }

  /** The exit code once it has ended; undefined when a signal ended it. */
  get ended(): Promise<number | undefined> {
    return this.#exit
  }

  /** SIGTERM, as an orchestrator stops it; resolves with the exit code. */
  stop(): Promise<number | undefined> {
    this.#child.kill('SIGTERM')
    return this.#exit
  }

  /** Value of a metric summed over its label sets. */
  async metric(name: string): Promise<number> {
    const answer = await fetch(`http://127.0.0.1:${this.statusPort}/metrics`)
    const lines = (await answer.text()).split('\n')
    return lines
      .filter(line => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
  }
}

export const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

function listens(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = createConnection(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
