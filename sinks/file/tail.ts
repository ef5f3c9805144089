import type { FileHandle } from 'node:fs/promises'
import { HaetaeError } from '../../platform/errors.ts'
import type { Log } from '../../platform/log.ts'

const STEP_BYTES = 64 * 1024
const TAIL_BYTES_MAX = 16 * 1024 * 1024
const LINE_FEED = 0x0a

/**
 * Makes the file end with a whole line and returns its length. What a killed process left of a record is cut off: it was
 * never answered for and is read again. Throws SINK_MISCONFIGURED when the last line is nothing this sink could have left.
 */
export async function mendTail(handle: FileHandle, path: string, log: Log): Promise<number> {
  const { size } = await handle.stat()
  const tail = await lastLine(handle, size)
  if (tail?.length === 0) return size
  if (tail === undefined || tail[0] !== OPENING_BRACE) {
    throw new HaetaeError('SINK_MISCONFIGURED', `${path} does not end like a file of events: name another file`)
  }
  if (isJson(tail)) {
    await handle.write('\n')
    await handle.datasync()
    return size + 1
  }
  const whole = size - tail.length
  log.warn('the output file ended in the middle of a record: it was cut off', { path, bytes: tail.length })
  await handle.truncate(whole)
  await handle.datasync()
  return whole
}

/** What follows the last line feed; undefined when that is too long to be a record. */
async function lastLine(handle: FileHandle, size: number): Promise<Buffer | undefined> {
  const pieces: Buffer[] = []
  for (let end = size; end > 0; ) {
    if (size - end > TAIL_BYTES_MAX) return undefined
    const start = Math.max(0, end - STEP_BYTES)
    const piece = Buffer.alloc(end - start)
    await handle.read(piece, 0, piece.length, start)
    const feed = piece.lastIndexOf(LINE_FEED)
    pieces.unshift(piece.subarray(feed + 1))
    if (feed >= 0) break
    end = start
  }
  return Buffer.concat(pieces)
}

function isJson(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString())
    return true
  } catch {
    return false
  }
}

const OPENING_BRACE = 0x7b
