import { asError } from '../errors.ts'
import type { LogRoom } from './room.ts'
import type { Store, Transaction } from './store.ts'

/** One part of a group that is committed together. */
export interface Write {
  readonly bytes: number
  /** An append may be given up when the disk is full; upkeep (positions, deletions) goes on as long as possible. */
  readonly kind: 'append' | 'upkeep'
  /** Called once the group is being written, in the order of submission; must not throw. */
  apply(transaction: Transaction): void
  /** Durable and visible; called before the promise resolves, in the order of submission. */
  committed?(): void
  /** Nothing of it was written. Called in reverse order of submission. */
  undone?(): void
}

interface Waiting {
  readonly write: Write
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export interface CommitterParts {
  readonly store: Pick<Store, 'commit' | 'reopen'>
  readonly room: Pick<LogRoom, 'prepare'>
  /** There is no room on the disk; nothing was tried. Returns what to answer. */
  readonly refused: (error: Error) => Error
  /** A transaction failed. Returns what to answer. */
  readonly failed: (error: Error) => Error
}

/** Transactions stay well below what LMDB keeps in memory before it spills. */
const GROUP_BYTES_MAX = 16 * 1024 * 1024

/**
 * Group commit: what is submitted while a transaction is being synced shares the next one. A promise resolves only
 * after the sync of the transaction that holds its write.
 */
export class Committer {
  readonly #parts: CommitterParts
  #queue: Waiting[] = []
  #running = false

  constructor(parts: CommitterParts) {
    this.#parts = parts
  }

  submit(write: Write): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ write, resolve, reject })
      if (!this.#running) void this.#run()
    })
  }

  /** Resolves when everything submitted until now is settled. */
  barrier(): Promise<void> {
    return this.submit({ kind: 'upkeep', bytes: 0, apply: () => undefined })
  }

  async #run(): Promise<void> {
    this.#running = true
    // One turn, so that what arrives together is committed together.
    await Promise.resolve()
    while (this.#queue.length > 0) await this.#commit(this.#takeGroup())
    this.#running = false
  }

  #takeGroup(): readonly Waiting[] {
    let bytes = 0
    let count = 0
    while (count < this.#queue.length && (count === 0 || bytes + this.#queue[count]!.write.bytes <= GROUP_BYTES_MAX)) {
      bytes += this.#queue[count]!.write.bytes
      count++
    }
    return this.#queue.splice(0, count)
  }

  async #commit(group: readonly Waiting[]): Promise<void> {
    if (await this.#prepare(group)) return this.#commitWhatFits(group)
    const error = await this.#tryCommit(group)
    if (!error) return
    const upkeep = group.filter(({ write }) => write.kind === 'upkeep')
    for (const { write, reject } of group) if (write.kind === 'append') reject(error)
    if (upkeep.length > 0) await this.#commitPrepared(upkeep)
  }

  /** The disk has no room for all of it: upkeep first, then the appends one by one, as far as it goes. */
  async #commitWhatFits(group: readonly Waiting[]): Promise<void> {
    const upkeep = group.filter(({ write }) => write.kind === 'upkeep')
    const appends = group.filter(({ write }) => write.kind === 'append')
    if (upkeep.length > 0) await this.#commitPrepared(upkeep)
    for (const append of appends) await this.#commitPrepared([append])
  }

  async #commitPrepared(group: readonly Waiting[]): Promise<void> {
    const noRoom = await this.#prepare(group)
    const error = noRoom ? this.#parts.refused(noRoom) : await this.#tryCommit(group)
    if (error) for (const { reject } of group) reject(error)
  }

  async #prepare(group: readonly Waiting[]): Promise<Error | undefined> {
    const bytes = group.reduce((sum, { write }) => sum + write.bytes, 0)
    const appends = group.some(({ write }) => write.kind === 'append')
    try {
      await this.#parts.room.prepare({ bytes, writes: group.length, appends })
      return undefined
    } catch (thrown) {
      return asError(thrown)
    }
  }

  async #tryCommit(group: readonly Waiting[]): Promise<Error | undefined> {
    const { store, failed } = this.#parts
    try {
      await store.commit(transaction => {
        for (const { write } of group) write.apply(transaction)
      })
    } catch (error) {
      for (const { write } of [...group].reverse()) write.undone?.()
      // Should this fail too, the next commit tries it again.
      await store.reopen().catch(() => undefined)
      return failed(asError(error))
    }
    for (const { write, resolve } of group) {
      write.committed?.()
      resolve()
    }
    return undefined
  }
}
