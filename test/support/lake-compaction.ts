import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type CompactionLimits,
  type CompactionReport,
  compactionDefaults,
  compactLake,
} from '../../platform/lake/compact.ts'
import type { DuckDb } from '../../platform/lake/duckdb.ts'
import { literal } from '../../platform/lake/duckdb.ts'
import { FolderStore } from '../../platform/lake/folder-store.ts'
import { liveObjects } from '../../platform/lake/objects.ts'
import type { LakeStore } from '../../platform/lake/store.ts'
import { lakeTables } from '../../platform/lake/tables.ts'
import type { OcsfEvent } from '../../platform/ocsf/event.ts'
import { putEvents, WatchedStore } from './lake-rows.ts'
import { DAY, httpActivity } from './lake-sink.ts'

export const HOUR_MS = 3_600_000
export const MINUTE_MS = 60_000

/** A lake in a folder, with a clock that the test turns. */
export class TestLake {
  readonly folder: string
  readonly store: WatchedStore
  readonly db: DuckDb
  /** Every event that was stored, ever. */
  readonly uids = new Set<string>()
  nowMs = DAY + 12 * HOUR_MS
  readonly #root: string
  /** What each object holds, as it was when it was stored. */
  readonly #contents = new Map<string, readonly string[]>()

  private constructor(root: string, db: DuckDb) {
    this.#root = root
    this.folder = join(root, 'lake')
    this.db = db
    this.store = new WatchedStore(new FolderStore(this.folder), () => this.nowMs)
  }

  /** `db` may serve many lakes, one after the other. */
  static async open(db: DuckDb): Promise<TestLake> {
    const lake = new TestLake(mkdtempSync(join(tmpdir(), 'haetae-compact-')), db)
    await lake.store.prepare(lake.nowMs)
    return lake
  }

  close(): void {
    rmSync(this.#root, { recursive: true, force: true })
  }

  /** Another process on the same lake. */
  process(): WatchedStore {
    return new WatchedStore(new FolderStore(this.folder), () => this.nowMs, this.store.times)
  }

  /** An object of these events, as a sink stores it; the same name always holds the same events. */
  async put(name: string, uids: readonly string[], overrides: OcsfEvent = {}): Promise<string> {
    const events = uids.map((uid, at) => httpActivity(uid, { time: DAY + 7 * at, ...overrides }))
    for (const uid of uids) this.uids.add(uid)
    return putEvents(this.process(), this.db, name, events)
  }

  compact(
    limits: Partial<CompactionLimits> = {},
    store: LakeStore = this.store,
    db = this.db,
  ): Promise<CompactionReport> {
    const workFolder = join(this.#root, `work-${randomBytes(4).toString('hex')}`)
    return compactLake({ store, db, workFolder }, { ...compactionDefaults, ...limits }, this.nowMs)
  }

  /** Paths of the objects that a reader reads now. */
  async live(): Promise<string[]> {
    const work = join(this.#root, 'look')
    mkdirSync(work, { recursive: true })
    return (await liveObjects(this.process(), lakeTables[0]!, work)).map(({ path }) => path)
  }

  /** Ids in the objects that a reader reads now; an id as often as it stands there. Throws for an object that is gone. */
  async liveUids(): Promise<string[]> {
    const found: string[] = []
    for (const path of await this.live()) found.push(...(await this.contentOf(path)))
    return found
  }

  /** Events that a reader that looks now would not find. */
  async missing(): Promise<string[]> {
    const found = new Set(await this.liveUids())
    return [...this.uids].filter(uid => !found.has(uid))
  }

  /** Ids in an object that was there at some time. */
  async contentOf(path: string): Promise<readonly string[]> {
    const known = this.#contents.get(path)
    if (known) return known
    const file = literal(join(this.folder, path))
    const rows = await this.db.rows(`SELECT metadata.uid FROM read_parquet(${file}, hive_partitioning = false)`)
    const uids = rows.map(([uid]) => String(uid))
    this.#contents.set(path, uids)
    return uids
  }
}

/** Kills the process of a store at its nth step: instead of it, or when it is done. Counts the steps. */
export function killAt(store: WatchedStore, step: number, when: 'before' | 'after'): { readonly steps: number } {
  const seen = { steps: 0 }
  store.onStep = at => {
    if (at === when) seen.steps++
    if (at === when && seen.steps === step) store.isDead = true
  }
  return seen
}

/** A compaction that goes on only when it is told to, one step at a time. */
export class Compactor {
  readonly #store: WatchedStore
  readonly #done: Promise<unknown>
  #go: (() => void) | undefined
  #arrived = Promise.withResolvers<void>()
  ended = false

  constructor(lake: TestLake, limits: Partial<CompactionLimits>) {
    this.#store = lake.process()
    this.#store.onStep = when => (when === 'before' ? this.#gate() : undefined)
    this.#done = lake
      .compact(limits, this.#store)
      .catch(() => undefined)
      .finally(() => {
        this.ended = true
        this.#arrived.resolve()
      })
  }

  /** Resolves when it has done its next step, and stands before the one after that, or is at its end. */
  async step(): Promise<void> {
    await this.#arrived.promise
    if (this.ended) return
    this.#arrived = Promise.withResolvers<void>()
    this.#go?.()
    await this.#arrived.promise
  }

  async kill(): Promise<void> {
    this.#store.isDead = true
    this.#go?.()
    await this.#done
  }

  #gate(): Promise<void> {
    if (this.#store.isDead) return Promise.resolve()
    return new Promise(resolve => {
      this.#go = resolve
      this.#arrived.resolve()
    })
  }
}
