import { createCipheriv, createDecipheriv, randomBytes, randomFillSync } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import type { Kind, Origin } from '../../engine/contract.ts'
import { Scratch } from './scratch.ts'

/** A record as it was received, for the dead letter should DuckDB refuse its row. */
export interface Evidence {
  readonly id: string
  readonly kind: Kind
  readonly origin: Origin
  readonly raw: Buffer
}

type Entry = readonly [id: string, kind: Kind, stream: string, position: string, rawBytes: number]

function entryOf({ id, kind, origin, raw }: Evidence): Entry {
  return [id, kind, origin.stream, String(origin.position), raw.length]
}

const IV_BYTES = 16
/** rows, bytes of ciphertext, bytes of the list at its beginning */
const HEAD_BYTES = 12 + IV_BYTES

/**
 * The records behind spooled rows, in the same order. Unredacted bytes belong in the topic and the dead letter only, so the
 * file is encrypted with a key that exists in this process alone: the spool is of no use to the next process anyway.
 */
export class EvidenceKey {
  readonly #key = randomBytes(32)
  readonly #plain = new Scratch()

  /** One frame: what is appended for one batch. */
  seal(records: readonly Evidence[]): readonly Buffer[] {
    const list = Buffer.from(JSON.stringify(records.map(entryOf)))
    const plain = this.#plain.take(records.reduce((sum, { raw }) => sum + raw.length, list.length))
    let end = list.copy(plain)
    for (const { raw } of records) end += raw.copy(plain, end)
    const head = Buffer.alloc(HEAD_BYTES)
    head.writeUInt32LE(records.length, 0)
    head.writeUInt32LE(plain.length, 4)
    head.writeUInt32LE(list.length, 8)
    const iv = randomFillSync(head.subarray(HEAD_BYTES - IV_BYTES))
    // Counter mode: as many bytes as before, and nothing is left for final().
    return [head, createCipheriv('aes-256-ctr', this.#key, iv).update(plain)]
  }

  /** The records of the given rows (ascending), one frame in memory at a time. */
  async *find(path: string, rows: readonly number[]): AsyncGenerator<Evidence> {
    const file = await open(path, 'r')
    try {
      let offset = 0
      let firstRow = 0
      let next = 0
      while (next < rows.length) {
        const head = await readExactly(file, HEAD_BYTES, offset)
        const count = head.readUInt32LE(0)
        const bytes = head.readUInt32LE(4)
        const here: number[] = []
        while (next < rows.length && rows[next]! < firstRow + count) here.push(rows[next++]! - firstRow)
        if (here.length > 0) yield* this.#open(head, await readExactly(file, bytes, offset + HEAD_BYTES), here)
        offset += HEAD_BYTES + bytes
        firstRow += count
      }
    } finally {
      await file.close()
    }
  }

  *#open(head: Buffer, sealed: Buffer, rows: readonly number[]): Generator<Evidence> {
    const plain = createDecipheriv('aes-256-ctr', this.#key, head.subarray(HEAD_BYTES - IV_BYTES)).update(sealed)
    const listBytes = head.readUInt32LE(8)
    const list = JSON.parse(plain.toString('utf8', 0, listBytes)) as readonly Entry[]
    let start = listBytes
    let at = 0
    for (const [row, [id, kind, stream, position, length]] of list.entries()) {
      if (row === rows[at]) {
        at++
        const origin = { stream, position: BigInt(position) }
        yield { id, kind, origin, raw: plain.subarray(start, start + length) }
      }
      start += length
    }
  }
}

async function readExactly(file: FileHandle, length: number, position: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length)
  await readInto(file, bytes, 0, length, position)
  return bytes
}

export async function readInto(
  file: FileHandle,
  bytes: Buffer,
  start: number,
  length: number,
  position: number,
): Promise<void> {
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, start + done, length - done, position + done)
    if (bytesRead === 0) throw new Error('a spool file ends early: something outside Haetae changed it')
    done += bytesRead
  }
}
