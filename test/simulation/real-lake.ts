import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Deps, Sink } from '../../engine/contract.ts'
import type { OcsfEvent } from '../../platform/ocsf/event.ts'
import { lakeShape } from '../../sinks/lake.ts'
import type { ObjectStore } from '../../sinks/ranges/objects.ts'
import { RangeSink } from '../../sinks/ranges/sink.ts'
import type { Split } from '../../sinks/ranges/spool.ts'
import type { Random } from '../support/random.ts'
import type { Row } from './lake.ts'
import type { Life } from './life.ts'
import type { World } from './world.ts'

/** The production lake sink, its spool on a real disk, over an object store of the simulation. */
export async function realLakeSink(world: World, life: Life, deps: Deps): Promise<Sink> {
  const random = world.random.fork()
  const died = new Promise<never>((_, reject) => life.onDeath(() => reject(new Error('the process is dead'))))
  died.catch(() => undefined)
  const limits = {
    flushMs: random.int(500, 8000),
    spoolBytesMax: random.pick([1_000, 1_000_000]),
    spoolTotalBytesMax: random.pick([3_000, 10_000_000]),
  }
  const folder = join(deps.stateFolder, `lake-${life.serial}`)
  const positions = {
    ...deps.positions,
    setNote: (...given: Parameters<typeof deps.positions.setNote>) =>
      Promise.race([deps.positions.setNote(...given), died]),
  }
  const deadLetter: Deps['deadLetter'] = letters => Promise.race([deps.deadLetter(letters), died])
  const own = { ...deps, positions, deadLetter }
  const sink = new RangeSink(lakeShape(own), limits, folder, new SimObjects(world, life, random), own)
  // What the system does for a process that died: its files are closed. Nothing else of it has any effect.
  life.onDeath(() => void sink.close())
  return {
    write: (records, signal) => life.seen(sink.write(records, signal)),
    drain: () => sink.drain(),
    close: () => life.seen(sink.close()),
  }
}

class SimObjects implements ObjectStore {
  readonly #world: World
  readonly #life: Life
  readonly #random: Random

  constructor(world: World, life: Life, random: Random) {
    this.#world = world
    this.#life = life
    this.#random = random
  }

  async has(path: string): Promise<boolean> {
    await this.#takeTime()
    if (this.#random.chance(this.#world.faults.write)) throw new Error('simulated: the object store is away')
    return this.#world.lake.byName.has(path)
  }

  async put(path: string, split: Split, settle: Parameters<ObjectStore['put']>[2]): ReturnType<ObjectStore['put']> {
    const lines = (await readFile(split.jsonPath, 'utf8')).split('\n').slice(0, -1)
    const rows = lines.map(line => ({ line, body: JSON.parse(line) as OcsfEvent }))
    const bad = rows.flatMap(({ body }, row) =>
      body.activity_name === 'unstorable' ? [{ row, problem: 'simulated' }] : [],
    )
    await this.#takeTime()
    if (bad.length > 0) await settle(bad)
    await this.#takeTime()
    const fails = this.#random.chance(this.#world.faults.write)
    const stored = new Map<string, Row>()
    for (const { line, body } of rows)
      if (body.activity_name !== 'unstorable') stored.set(body.metadata!.uid!, rowOf(line, body))
    if (stored.size > 0 && (!fails || this.#random.chance(0.5))) this.#world.lake.put(path, stored)
    if (fails) throw new Error('simulated: the object store is away')
    return { rows: stored.size, bytes: 0 }
  }

  async #takeTime(): Promise<void> {
    const { time, faults } = this.#world
    let wake = (): void => undefined
    const died = new Promise<void>(resolve => {
      wake = resolve
    })
    this.#life.onDeath(wake)
    await Promise.race([time.sleep(this.#random.int(1, faults.slowMs), this.#life), died])
    if (!this.#life.alive) throw new Error('the process is dead')
  }
}

function rowOf(content: string, { message }: OcsfEvent): Row {
  const [stream = '', position = ''] = (message ?? '').split('@')
  return { stream, position: BigInt(position), content }
}
