import { randomBytes } from 'node:crypto'
import { closeSync, existsSync, fsyncSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import { HaetaeError } from '../errors.ts'

/** Disk space set aside, given back when the disk is full: commits and deletions, which make room, then still work. */
const RESERVE_BYTES = 512 * 1024
const RESERVE_FILE = 'reserve'
/** While the disk stays full and nothing was deleted, an append is tried this often. */
const PROBE_MS = 10_000
/**
 * Free disk space that appends leave alone. LMDB survives a write that finds the disk full, but not always well: the
 * process may die of it. So appends stop before, and only a disk that somebody else fills in the same moment gets there.
 */
const KEPT_FREE_BYTES = 8 * 1024 * 1024
/** Free disk space below this explains a short write, which LMDB reports as EIO. */
const NEARLY_FULL_BYTES = 4 * 1024 * 1024
const [ENOSPC, EDQUOT, EFBIG, EIO] = [28, 122, 27, 5]

interface Trouble {
  readonly full: boolean
  readonly message: string
  readonly freeBytes: number
  probeAtMs: number
  /** Something was deleted from the log since the last failure. */
  freed: boolean
}

export interface SpaceOptions {
  readonly folder: string
  readonly bytesMax: number
  readonly clock: Clock
}

/** Decides whether an append may be tried: the size bound of the log, and the disk below it. */
export class Space {
  readonly #options: SpaceOptions
  #used = 0
  #pending = 0
  #atBound = false
  #trouble: Trouble | undefined

  constructor(options: SpaceOptions) {
    this.#options = options
    this.restoreReserve()
  }

  get used(): number {
    return this.#used
  }

  get bytesMax(): number {
    return this.#options.bytesMax
  }

  /** Appends are being refused. */
  get full(): boolean {
    return this.#atBound || this.#trouble !== undefined
  }

  get diskTrouble(): boolean {
    return this.#trouble !== undefined
  }

  fits(bytes: number): boolean {
    return this.#used + this.#pending + bytes <= this.#options.bytesMax
  }

  /** Throws TOPIC_FULL or TOPIC_UNWRITABLE; else the bytes are taken until `settle`. `blame` says who holds space. */
  admit(bytes: number, blame: () => string): void {
    if (!this.#trouble) this.#lookAtDisk(bytes)
    if (this.#trouble) this.#probe(this.#trouble, bytes)
    this.#atBound = !this.fits(bytes)
    if (this.#atBound) {
      throw new HaetaeError(
        'TOPIC_FULL',
        `the topic log in ${this.#options.folder} holds ${this.#used} of ${this.#options.bytesMax} bytes and nothing in ` +
          `it may be deleted yet${blame()}: let the consumers catch up, forget a group that is not needed any more, or ` +
          'raise HAETAE_TOPICS_BYTES_MAX',
      )
    }
    this.#pending += bytes
  }

  /** Before LMDB finds out. Costs about a microsecond. */
  #lookAtDisk(bytes: number): void {
    const freeBytes = this.#freeBytes()
    if (freeBytes >= KEPT_FREE_BYTES + 2 * (this.#pending + bytes)) return
    const probeAtMs = this.#options.clock.monotonicMs() + PROBE_MS
    this.#trouble = { full: true, message: 'too little disk space is left', freeBytes, freed: false, probeAtMs }
  }

  settle(bytes: number): void {
    this.#pending -= bytes
  }

  grew(bytes: number): void {
    this.#used += bytes
  }

  shrank(bytes: number): void {
    this.#used -= bytes
    if (this.#trouble) this.#trouble.freed = true
    if (this.fits(0)) this.#atBound = false
  }

  /** A commit failed; the error to answer appends with is then that of `admit`. */
  failed(error: Error): void {
    rmSync(this.#path, { force: true })
    const freeBytes = this.#freeBytes()
    const code = 'code' in error ? error.code : undefined
    const full = code === ENOSPC || code === EDQUOT || code === EFBIG || (code === EIO && freeBytes < NEARLY_FULL_BYTES)
    const message = `${error.message} (${String(code)})`
    this.#trouble = { full, message, freeBytes, freed: false, probeAtMs: this.#options.clock.monotonicMs() + PROBE_MS }
  }

  /** An append was written. */
  recovered(): void {
    this.#trouble = undefined
  }

  error(): HaetaeError {
    const { folder } = this.#options
    if (!this.#trouble || this.#trouble.full) {
      return new HaetaeError(
        'TOPIC_FULL',
        `the disk of the topic log in ${folder} is full: make room on it; appends go on by themselves`,
      )
    }
    return new HaetaeError(
      'TOPIC_UNWRITABLE',
      `the topic log in ${folder} cannot be written: ${this.#trouble.message}: check the disk; appends go on by themselves`,
    )
  }

  /** Set aside again once the disk has room. */
  restoreReserve(): void {
    if (this.#trouble || existsSync(this.#path) || this.#freeBytes() < 4 * RESERVE_BYTES) return
    try {
      const file = openSync(this.#path, 'w', 0o600)
      try {
        // Random, as a file system may store a row of zeros in no space at all.
        writeSync(file, randomBytes(RESERVE_BYTES))
        fsyncSync(file)
      } finally {
        closeSync(file)
      }
    } catch {
      rmSync(this.#path, { force: true }) // A reserve that cannot be had now is tried again with the next upkeep.
    }
  }

  /** Part of the upkeep, for those who do not append while `full`: lets the next append through when it may succeed. */
  reconsider(): void {
    if (this.#trouble && this.#promising(this.#trouble, RESERVE_BYTES)) this.#trouble = undefined
    if (this.fits(0)) this.#atBound = false
  }

  /** Lets one append through when it has a chance; others are refused at once until it is settled. */
  #probe(trouble: Trouble, bytes: number): void {
    if (this.#pending > 0 || !this.#promising(trouble, bytes)) throw this.error()
    trouble.freed = false
    trouble.probeAtMs = this.#options.clock.monotonicMs() + PROBE_MS
  }

  #promising(trouble: Trouble, bytes: number): boolean {
    if (trouble.freed) return true
    const freeBytes = this.#freeBytes()
    if (freeBytes < KEPT_FREE_BYTES + 2 * bytes) return false
    return freeBytes > trouble.freeBytes + 2 * bytes || this.#options.clock.monotonicMs() >= trouble.probeAtMs
  }

  #freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.#options.folder)
    return bavail * bsize
  }

  get #path(): string {
    return join(this.#options.folder, RESERVE_FILE)
  }
}
