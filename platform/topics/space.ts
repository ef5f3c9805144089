import type { Clock } from '../clock.ts'
import { HaetaeError } from '../errors.ts'

/** After LMDB itself failed to commit, the next append is tried this much later. */
const PAUSE_MS = 1_000
const FULL_CODES: readonly unknown[] = ['ENOSPC', 'EDQUOT', 'EFBIG', 28, 122, 27]

interface Trouble {
  readonly full: boolean
  readonly cause: Error
  readonly nextTryMs: number
}

export interface SpaceOptions {
  readonly folder: string
  readonly bytesMax: number
  readonly clock: Clock
}

/** Decides whether an append may be tried: the size bound of the log, and what became of the last tries. */
export class Space {
  readonly #options: SpaceOptions
  #used = 0
  #pending = 0
  #atBound = false
  #trouble: Trouble | undefined
  #freedInside = 0

  constructor(options: SpaceOptions) {
    this.#options = options
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
    if (this.#trouble && this.#options.clock.monotonicMs() < this.#trouble.nextTryMs) throw this.#error(this.#trouble)
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

  settle(bytes: number): void {
    this.#pending -= bytes
  }

  /** Deleted from the file and not written again, as far as this process knows. */
  get freedInside(): number {
    return this.#freedInside
  }

  grew(bytes: number): void {
    this.#used += bytes
    this.#freedInside = Math.max(0, this.#freedInside - bytes)
  }

  shrank(bytes: number): void {
    this.#used -= bytes
    this.#freedInside += bytes
    if (this.fits(0)) this.#atBound = false
  }

  /** Nothing was tried, as there is no room on the disk: the next append may ask again at once. */
  refused(error: Error): HaetaeError {
    this.#trouble = { full: isFull(error), cause: error, nextTryMs: Number.NEGATIVE_INFINITY }
    return this.#error(this.#trouble)
  }

  /** LMDB failed to commit. */
  failed(error: Error): HaetaeError {
    const nextTryMs = this.#options.clock.monotonicMs() + PAUSE_MS
    this.#trouble = { full: isFull(error), cause: error, nextTryMs }
    return this.#error(this.#trouble)
  }

  /** A write of an append's size went through. */
  recovered(): void {
    this.#trouble = undefined
    if (this.fits(0)) this.#atBound = false
  }

  #error({ full, cause }: Trouble): HaetaeError {
    const { folder } = this.#options
    if (full) {
      return new HaetaeError(
        'TOPIC_FULL',
        `the disk of the topic log in ${folder} is full: make room on it; appends go on by themselves`,
        { cause },
      )
    }
    return new HaetaeError(
      'TOPIC_UNWRITABLE',
      `the topic log in ${folder} cannot be written: ${cause.message}: check the disk; appends go on by themselves`,
      { cause },
    )
  }
}

function isFull(error: Error): boolean {
  return 'code' in error && FULL_CODES.includes(error.code)
}
