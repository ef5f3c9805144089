import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DeadLetter, Delivery } from '../../engine/contract.ts'
import { silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import type { Position } from '../../platform/topics/contract.ts'
import { type EmbeddedTopics, openEmbedded } from '../../platform/topics/embedded.ts'
import { Random } from '../support/random.ts'
import { Client } from './client.ts'
import { Documents } from './destinations.ts'
import { Objects } from './lake.ts'
import { Life } from './life.ts'
import type { Plant } from './plants.ts'
import { SimProcess, TOPIC } from './process.ts'
import { SimTime } from './time.ts'

/** How likely each kind of trouble is, a call. */
export interface Faults {
  readonly append: number
  readonly commit: number
  readonly write: number
  readonly spool: number
  readonly deadLetter: number
  /** That the answer to a request is lost on its way. */
  readonly answer: number
  readonly slowMs: number
}

const calm: Faults = { append: 0, commit: 0, write: 0, spool: 0, deadLetter: 0, answer: 0, slowMs: 50 }
const CHAOS_MS = 60_000
/** Which pipelines read the topic: those that store every event, or the one that counts them. */
const readers = { storing: ['waf', 'lake'], counting: ['count'] } as const
export type Purpose = keyof typeof readers
const CALM_MS = 20 * 60_000

/** Everything that outlives a process, the troubles that befall it, and what must hold. */
export class World {
  readonly random: Random
  readonly time = new SimTime()
  readonly folder = mkdtempSync(join(tmpdir(), 'haetae-simulation-'))
  readonly client: Client
  readonly search = new Documents(this, 'search')
  readonly archive = new Documents(this, 'archive')
  readonly lake = new Objects(this)
  readonly violations: string[] = []
  /** How often what befell this world. */
  readonly census = new Map<string, number>()
  readonly #trace = createHash('sha256')
  readonly plant: Plant | undefined
  /** The production lake sink instead of the short one in lake.ts. */
  readonly realLake: boolean
  readonly purpose: Purpose
  /** What the counting pipeline told, by id. */
  readonly alerts = new Documents(this, 'alerts')
  faults: Faults
  #log: EmbeddedTopics | undefined
  readonly #dead = new Map<string, DeadLetter[]>()
  readonly #positions = new Map<string, bigint>()
  readonly #processes = new Map<string, SimProcess>()
  #ending = false
  #started = 0

  constructor(seed: number, plant?: Plant, realLake = false, purpose: Purpose = 'storing') {
    this.realLake = realLake
    this.purpose = purpose
    this.random = new Random(seed)
    this.plant = plant
    const often = (): number => this.random.pick([0, 0.05, 0.15, 0.4])
    this.faults = {
      append: often(),
      commit: often(),
      write: often(),
      spool: this.random.pick([0, 0, 0.05, 0.2]),
      deadLetter: often(),
      answer: often(),
      slowMs: this.random.pick([20, 300, 4000]),
    }
    this.client = new Client(this)
  }

  get log(): EmbeddedTopics {
    return this.#log!
  }

  violated(what: string): void {
    this.happened('violation')
    this.violations.push(what)
  }

  happened(what: string): void {
    this.census.set(what, (this.census.get(what) ?? 0) + 1)
    this.#trace.update(`${this.time.nowMs} ${what}\n`)
  }

  /** What happened when, as one value: equal for two runs of one seed. To be asked once, at the end. */
  trace(): string {
    return this.#trace.digest('hex')
  }

  deadLetters(pipeline: string): DeadLetter[] {
    const letters = this.#dead.get(pipeline) ?? []
    this.#dead.set(pipeline, letters)
    return letters
  }

  /** A delivery under observation: the engine settles it once. */
  watched(pipeline: string, delivery: Delivery): Delivery {
    let settled = 0
    const once = (): void => {
      if (++settled > 1) this.violated(`${pipeline}: a delivery was settled twice`)
    }
    const { ack, nack } = delivery
    if (delivery.muted) this.happened('muted')
    return {
      ...delivery,
      ack: () => {
        once()
        this.happened('ack')
        ack()
      },
      nack: cause => {
        once()
        this.happened('nack')
        nack(cause)
      },
    }
  }

  /** The next offset of a stream that the group would read after a restart. */
  position(group: string, stream: string): bigint {
    return this.#positions.get(`${group} ${stream}`) ?? 0n
  }

  /** A group's position was stored: it only moves forward. */
  committed(group: string, { topic, partition, offset }: Position): void {
    const stream = `${topic}/${partition}`
    const before = this.position(group, stream)
    if (offset < before) this.violated(`position of ${group} in ${stream} went back from ${before} to ${offset}`)
    this.#positions.set(`${group} ${stream}`, offset)
    this.happened('commit')
  }

  /** The whole story of a seed: troubled times, then calm ones in which all that is owed must come true. */
  async live(): Promise<void> {
    await this.#openLog()
    this.#start('main')
    this.client.plan(this.random.int(5, 25), CHAOS_MS * 0.8)
    this.#planTroubles()
    const chaosEnds = this.time.nowMs + CHAOS_MS
    await this.time.runUntil(() => false, chaosEnds)
    this.time.nowMs = chaosEnds
    this.faults = calm
    const settled = await this.time.runUntil(() => this.#settled(), chaosEnds + CALM_MS)
    if (!settled) this.violated('stuck: without any fault left, not everything was settled within 20 minutes')
    await this.#endAll()
  }

  async destroy(): Promise<void> {
    for (const process of this.#processes.values()) process.life.kill()
    await this.time.real(() => this.log.close())
    rmSync(this.folder, { recursive: true, force: true })
  }

  async #openLog(): Promise<void> {
    const machine = new Life('log', 0)
    this.#log = await this.time.real(() =>
      openEmbedded({
        folder: join(this.folder, 'log'),
        bytesMax: 64 * 1024 ** 2,
        clock: this.time.clock(machine),
        log: silentLog,
        metrics: createMetrics(),
        upkeepMs: 1e12,
        // A crash of the process loses nothing that was handed to the system; the syncs have tests of their own.
        unsafeNoSync: true,
      }),
    )
  }

  #planTroubles(): void {
    const { random, time } = this
    const sometime = (trouble: () => void): void => void time.after(random.int(0, CHAOS_MS), trouble)
    for (let n = random.int(0, 4); n > 0; n--) sometime(() => this.#crash('main'))
    for (let n = random.int(0, 2); n > 0; n--) sometime(() => this.#processes.get('main')?.stop())
    for (let n = random.int(0, 3); n > 0; n--) {
      sometime(() => this.#start('second'))
      sometime(() => (random.chance(0.5) ? this.#crash('second') : this.#processes.get('second')?.stop()))
    }
    if (random.chance(0.5)) sometime(() => void this.#powerCut())
  }

  /** `main` is started again whenever it ended; `second` shares its consumer groups while it lives. */
  #start(machine: 'main' | 'second'): void {
    if (this.#processes.has(machine) || this.#ending) return
    const process = new SimProcess(this, machine, ++this.#started)
    this.#processes.set(machine, process)
    const ended = (): void => {
      if (this.#processes.get(machine) !== process) return
      this.#processes.delete(machine)
      if (machine === 'main') this.time.after(this.random.int(100, 3000), () => this.#start('main'))
    }
    process.life.onDeath(ended)
    void process.run(machine === 'main' ? ['ingest', ...readers[this.purpose]] : readers[this.purpose])
  }

  #crash(machine: string): void {
    if (this.#processes.has(machine)) this.happened('crash')
    this.#processes.get(machine)?.life.kill()
  }

  /** Both processes die and the log is opened anew from its file. */
  async #powerCut(): Promise<void> {
    this.#crash('main')
    this.#crash('second')
    this.happened('power cut')
    const old = this.log
    await this.time.real(() => old.close())
    await this.#openLog()
  }

  #settled(): boolean {
    if (!this.client.content || !this.#processes.has('main')) return false
    return this.log
      .describe()
      .filter(({ topic }) => topic === TOPIC)
      .every(({ topic, partition, end }) =>
        readers[this.purpose].every(group => this.position(group, `${topic}/${partition}`) === end),
      )
  }

  async #endAll(): Promise<void> {
    this.#ending = true
    for (const process of this.#processes.values()) process.stop()
    const ended = await this.time.runUntil(() => this.#processes.size === 0, this.time.nowMs + 60_000)
    if (!ended) this.violated('stuck: a process did not end within a minute of being stopped')
  }
}
