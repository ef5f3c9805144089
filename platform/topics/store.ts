import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Database, open, type RootDatabase } from 'lmdb'
import { z } from 'zod'
import { asError, HaetaeError } from '../errors.ts'

export const LOG_FILE = 'log.mdb'

/** Where a block is and what retention must know of it, all in its LMDB key: deciding what to delete reads no value. */
export interface BlockKey {
  readonly topicId: number
  readonly partition: number
  /** Offset of the first record. */
  readonly base: number
  /** Last offset minus first, plus one. */
  readonly span: number
  /** Newest record time in the block. */
  readonly timeMs: number
  /** Size of the value. */
  readonly bytes: number
}

/** topic u16, partition u16, base u64, span u32, time u48, bytes u32, big endian: LMDB's order is the log's order. */
const BLOCK_KEY_BYTES = 26
const TIME_MS_MAX = 2 ** 48 - 1

export function encodeBlockKey(key: BlockKey): Buffer {
  const bytes = Buffer.allocUnsafe(BLOCK_KEY_BYTES)
  writePlace(bytes, key.topicId, key.partition, key.base)
  bytes.writeUInt32BE(key.span, 12)
  bytes.writeUIntBE(Math.min(Math.max(Math.trunc(key.timeMs) || 0, 0), TIME_MS_MAX), 16, 6)
  bytes.writeUInt32BE(key.bytes, 22)
  return bytes
}

function decodeBlockKey(key: Uint8Array): BlockKey {
  const bytes = Buffer.from(key.buffer, key.byteOffset, key.byteLength)
  return {
    topicId: bytes.readUInt16BE(0),
    partition: bytes.readUInt16BE(2),
    base: Number(bytes.readBigUInt64BE(4)),
    span: bytes.readUInt32BE(12),
    timeMs: bytes.readUIntBE(16, 6),
    bytes: bytes.readUInt32BE(22),
  }
}

/** The smallest key at or after an offset. */
function placeKey(topicId: number, partition: number, offset: number): Buffer {
  const bytes = Buffer.allocUnsafe(12)
  writePlace(bytes, topicId, partition, offset)
  return bytes
}

function writePlace(bytes: Buffer, topicId: number, partition: number, offset: number): void {
  bytes.writeUInt16BE(topicId, 0)
  bytes.writeUInt16BE(partition, 2)
  bytes.writeBigUInt64BE(BigInt(offset), 4)
}

/** What a transaction may do. Keys and values must not change before it is committed; nothing here throws. */
export interface Transaction {
  put(table: Table, key: Buffer, value: Buffer): void
  remove(table: Table, key: Buffer): void
}

export type Table = 'meta' | 'blocks' | 'positions' | 'markers' | 'markerTimes'
const tables: readonly Table[] = ['meta', 'blocks', 'positions', 'markers', 'markerTimes']

/** Values read through the map before its pages are given back. */
const READ_BYTES_MAX = 16 * 1024 * 1024

export interface StoreOptions {
  readonly folder: string
  /** Address space to map at first; LMDB maps more when the file outgrows it. */
  readonly mapBytes: number
  readonly readBytesMax?: number
  /** For tests that must see what a log without sync looks like. */
  readonly unsafeNoSync?: boolean
}

/** The part of lmdb-js's getStats that is used here; it is typed as an empty object. */
const stats = z.object({ lastPageNumber: z.number(), pageSize: z.number() })

type Raw = Database<Buffer, Buffer>

/**
 * The LMDB file. What lmdb-js promises with `overlappingSync: false` (read in mdb.c, mdb_txn_commit): the pages are
 * written, then fdatasync, then the meta page through a descriptor opened with O_DSYNC, and only then is the
 * transaction visible and its promise resolved. The map is read-only (no `useWritemap`): writing goes through pwrite,
 * so a full disk is an error and not a SIGBUS. `eventTurnBatching: false`, as the promise that lmdb-js makes for its own
 * batches is nobody's to catch when a commit fails.
 *
 * A page of the map that was read stays resident until the kernel needs it elsewhere, so a process that follows its log
 * would seem to hold all of it: after `readBytesMax` the file is opened again, which begins with an empty map.
 */
export class Store {
  readonly #options: StoreOptions
  #root: RootDatabase<Buffer, Buffer>
  #tables: Readonly<Record<Table, Raw>>
  #reopening: Promise<void> | undefined
  /** False after a reopen that failed, until one succeeds. */
  #isOpen = true
  /** Of values, since the file was opened. */
  #readBytes = 0

  constructor(options: StoreOptions) {
    this.#options = options
    mkdirSync(options.folder, { recursive: true, mode: 0o700 })
    this.#root = this.#openRoot()
    this.#tables = this.#openTables()
  }

  /**
   * One transaction, durable when this resolves, all or nothing. Never called concurrently (committer.ts). After a
   * rejection nothing of it is there, and `reopen` must be called before the next one.
   */
  async commit(write: (transaction: Transaction) => void): Promise<void> {
    if (!this.#isOpen || this.hasReadEnough) await this.reopen()
    const transaction: Transaction = {
      put: (table, key, value) => void this.#tables[table].put(key, value),
      remove: (table, key) => void this.#tables[table].remove(key),
    }
    try {
      await this.#root.batch(() => write(transaction))
    } catch (thrown) {
      throw await commitError(thrown)
    }
  }

  /**
   * Not while a commit is under way. After a failed one the environment may be marked broken (a meta page that could not be
   * written), and the next transaction would wait for ever; opening it again reads the last good meta page.
   */
  reopen(): Promise<void> {
    this.#reopening ??= (async () => {
      try {
        if (this.#isOpen) await this.#root.close()
        this.#isOpen = false
        this.#root = this.#openRoot()
        this.#tables = this.#openTables()
        this.#isOpen = true
        this.#readBytes = 0
      } finally {
        this.#reopening = undefined
      }
    })()
    return this.#reopening
  }

  /** The next commit opens the file again, even one that writes nothing. */
  get hasReadEnough(): boolean {
    return this.#readBytes > (this.#options.readBytesMax ?? READ_BYTES_MAX)
  }

  /**
   * undefined when the store can be read now; reads are synchronous, so nothing can close it in between. Wait with
   * `while (store.busy) await store.busy`: to await undefined is long enough for a reopen to begin. Never rejects.
   */
  get busy(): Promise<void> | undefined {
    return this.#reopening?.catch(() => undefined)
  }

  async close(): Promise<void> {
    await this.#reopening?.catch(() => undefined)
    if (this.#isOpen) await this.#root.close()
    this.#isOpen = false
  }

  get(table: Table, key: Buffer): Buffer | undefined {
    return this.#table(table).getBinary(key)
  }

  /** Where the file ends as far as transactions have used it. */
  get usedBytes(): number {
    this.#table('meta')
    const { lastPageNumber, pageSize } = stats.parse(this.#root.getStats())
    return (lastPageNumber + 1) * pageSize
  }

  /** Entries in the order of their keys. */
  *entries(table: Table, limit?: number): Generator<{ readonly key: Buffer; readonly value: Buffer }> {
    const range = limit === undefined ? {} : { limit }
    for (const { key, value } of this.#table(table).getRange(range)) yield { key: Buffer.from(key), value }
  }

  /** First and last key; undefined for an empty table. */
  edges(table: Table): { readonly first: Buffer; readonly last: Buffer } | undefined {
    let first: Buffer | undefined
    for (const key of this.#table(table).getKeys({ limit: 1 })) first = Buffer.from(key)
    for (const key of this.#table(table).getKeys({ limit: 1, reverse: true })) {
      if (first) return { first, last: Buffer.from(key) }
    }
    return undefined
  }

  block(key: BlockKey): Buffer | undefined {
    const value = this.#table('blocks').getBinary(encodeBlockKey(key))
    this.#readBytes += value?.length ?? 0
    return value
  }

  /** The block that holds `offset`, or else the first one after it. */
  seek(topicId: number, partition: number, offset: number): BlockKey | undefined {
    const before = this.#keys({
      start: placeKey(topicId, partition, offset + 1),
      end: placeKey(topicId, partition, 0),
      reverse: true,
    })
    if (before && before.base + before.span > offset) return before
    return this.#keys({ start: placeKey(topicId, partition, offset), end: placeKey(topicId, partition + 1, 0) })
  }

  last(topicId: number, partition: number): BlockKey | undefined {
    const start = placeKey(topicId, partition + 1, 0)
    return this.#keys({ start, end: placeKey(topicId, partition, 0), reverse: true })
  }

  /** Blocks from `offset` on, in order. */
  *blocksFrom(topicId: number, partition: number, offset: number): Generator<BlockKey> {
    const range = { start: placeKey(topicId, partition, offset), end: placeKey(topicId, partition + 1, 0) }
    for (const key of this.#table('blocks').getKeys(range)) yield decodeBlockKey(key)
  }

  #keys(range: { start: Buffer; end: Buffer; reverse?: boolean }): BlockKey | undefined {
    for (const key of this.#table('blocks').getKeys({ ...range, limit: 1 })) return decodeBlockKey(key)
    return undefined
  }

  #table(name: Table): Raw {
    if (!this.#isOpen) {
      throw new HaetaeError(
        'TOPIC_CLOSED',
        `the topic log in ${this.#options.folder} is not open: see the error before this`,
      )
    }
    return this.#tables[name]
  }

  #openRoot(): RootDatabase<Buffer, Buffer> {
    const { folder, mapBytes, unsafeNoSync = false } = this.#options
    const durability = { overlappingSync: false, noSync: unsafeNoSync, eventTurnBatching: false }
    const options = { ...durability, mapSize: mapBytes, permissionsMode: 0o600, maxDbs: tables.length + 1 }
    return open<Buffer, Buffer>({
      path: join(folder, LOG_FILE),
      encoding: 'binary',
      keyEncoding: 'binary',
      ...options,
    })
  }

  #openTables(): Readonly<Record<Table, Raw>> {
    const table = (name: Table): Raw =>
      this.#root.openDB<Buffer, Buffer>(name, { encoding: 'binary', keyEncoding: 'binary' })
    return {
      meta: table('meta'),
      blocks: table('blocks'),
      positions: table('positions'),
      markers: table('markers'),
      markerTimes: table('markerTimes'),
    }
  }
}

/** lmdb-js rejects with a wrapper whose `commitError` is a promise of the cause. */
async function commitError(thrown: unknown): Promise<Error> {
  const error = asError(thrown)
  if (!('commitError' in error)) return error
  try {
    await error.commitError
  } catch (cause) {
    return asError(cause)
  }
  return error
}
