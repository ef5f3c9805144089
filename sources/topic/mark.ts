import { closeSync, constants, openSync, readFileSync, rmSync, writeSync } from 'node:fs'

/** Records of one partition that were handed to the stages: offsets from `first` on, `next` excluded. */
export interface InStages {
  readonly partition: number
  readonly first: bigint
  readonly next: bigint
}

/** A partition and two offsets of 20 digits with what is between them; written whole each time. */
const LINE_BYTES = 64
const NOTHING = '-'

/**
 * One line on disk that says what is in the stages right now. It is written twice a batch, in place, by one call and
 * without sync: the kernel keeps what a killed process wrote. It need not outlive the machine; a stale line after a
 * power cut names records that were handed out, and counts as one death.
 */
export class Mark {
  readonly #path: string
  readonly #line = Buffer.alloc(LINE_BYTES)
  #file: number | undefined

  constructor(path: string) {
    this.#path = path
  }

  /** What was in the stages when the process before ended; undefined when nothing was, or nothing readable is left. */
  read(): InStages | undefined {
    try {
      const [, partition, first, next] = /^(\d{1,10}) (\d{1,20}) (\d{1,20}) *\n$/.exec(
        readFileSync(this.#path, 'latin1'),
      )!
      return { partition: Number(partition), first: BigInt(first!), next: BigInt(next!) }
    } catch {
      return undefined
    }
  }

  /** Throws when the disk refuses. */
  set({ partition, first, next }: InStages): void {
    this.#write(`${partition} ${first} ${next}`)
  }

  /** Throws when the disk refuses; then no line is left that could accuse anyone. */
  clear(): void {
    try {
      this.#write(NOTHING)
    } catch (error) {
      this.close()
      rmSync(this.#path, { force: true })
      throw error
    }
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file)
    this.#file = undefined
  }

  #write(text: string): void {
    this.#file ??= openSync(this.#path, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC, 0o600)
    this.#line.fill(0x20)
    this.#line.write(text, 'latin1')
    this.#line[LINE_BYTES - 1] = 0x0a
    writeSync(this.#file, this.#line, 0, LINE_BYTES, 0)
  }
}
