import type { Encoded } from './contract.ts'

/** The documents of a batch as one piece of NDJSON, each line ended. Written into `space` when it is large enough. */
export function ndjson(records: readonly Encoded[], space?: Buffer): Buffer {
  let bytes = records.length
  for (const { json } of records) bytes += json.length
  const lines = space && space.length >= bytes ? space.subarray(0, bytes) : Buffer.allocUnsafe(bytes)
  let end = 0
  for (const { json } of records) {
    end += json.copy(lines, end)
    lines[end++] = LINE_FEED
  }
  return lines
}

const LINE_FEED = 0x0a
