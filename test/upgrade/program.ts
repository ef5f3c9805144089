import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { freePorts } from '../support/free-ports.ts'

/** The program of some checkout, with a state folder of its own. */
export class EarlierProgram {
  readonly #cli: string
  readonly #ports: { readonly ingest: number; readonly status: number }
  readonly env: NodeJS.ProcessEnv

  private constructor(program: string, stateFolder: string, lakeFolder: string, ingest: number, status: number) {
    this.#cli = join(program, 'pipelines', 'haetae.mjs')
    this.#ports = { ingest, status }
    this.env = {
      ...process.env,
      OPENSEARCH_URL: '',
      HAETAE_KAFKA_BROKERS: '',
      HAETAE_BLOCKING: 'off',
      HAETAE_STATE: stateFolder,
      HAETAE_LAKE: lakeFolder,
      HAETAE_FIREHOSE_KEY: 'fixture',
      HAETAE_INGEST_PORT: String(ingest),
      HAETAE_STATUS_PORT: String(status),
      // The log grows by its records alone, not by the free space that is otherwise kept in it.
      HAETAE_TOPICS_BYTES_MAX: String(64 * 1024 * 1024),
    }
  }

  static async of(program: string, stateFolder: string, lakeFolder: string): Promise<EarlierProgram> {
    const [ingest = 0, status = 0] = await freePorts(2)
    return new EarlierProgram(program, stateFolder, lakeFolder, ingest, status)
  }

  /** Runs a command to its end; returns what it prints. */
  haetae(...args: readonly string[]): string {
    return execFileSync(process.execPath, [this.#cli, ...args], { env: this.env, encoding: 'utf8' })
  }

  async up(flushMs: number): Promise<ChildProcess> {
    const child = spawn(process.execPath, [this.#cli, 'up', '--no-sample'], {
      env: { ...this.env, HAETAE_LAKE_FLUSH_MS: String(flushMs) },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    await until(async () => (await fetch(`http://127.0.0.1:${this.#ports.status}/readyz`)).status === 200)
    return child
  }

  /** Of the first sample that begins so; 0 when there is none. */
  async metric(start: string): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${this.#ports.status}/metrics`)).text()
    const line = text.split('\n').find(each => each.startsWith(start))
    return Number(line?.split(' ').at(-1) ?? 0)
  }

  async send(lines: readonly string[]): Promise<void> {
    const answer = await fetch(`http://127.0.0.1:${this.#ports.ingest}/ingest/waf`, {
      method: 'POST',
      headers: { authorization: 'Bearer fixture' },
      body: lines.map(line => `${line}\n`).join(''),
    })
    if (answer.status !== 200) throw new Error(`${answer.status}: ${await answer.text()}`)
  }
}

export async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const ended = once(child, 'exit')
  child.kill(signal)
  await ended
}

export async function until(condition: () => Promise<boolean>): Promise<void> {
  for (const endMs = Date.now() + 180_000; ; ) {
    if (await condition().catch(() => false)) return
    if (Date.now() > endMs) throw new Error(`never: ${String(condition)}`)
    await new Promise(done => setTimeout(done, 50))
  }
}
