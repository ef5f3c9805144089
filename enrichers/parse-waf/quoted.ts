import type { JsonDocument } from '../../platform/json/document.ts'

/** A JSON string with its quotes, as four bytes at a time: comparing it so is several times cheaper than a native call. */
export interface Quoted {
  readonly length: number
  readonly words: Int32Array
  readonly lastWord: number
}

/** At least four bytes; shorter ones are never found again. */
export function quotedOf(bytes: Buffer): Quoted {
  const { length } = bytes
  if (length < 4) return { length: -1, words: new Int32Array(0), lastWord: 0 }
  const words = Int32Array.from({ length: length >> 2 }, (_, at) => bytes.readInt32LE(at * 4))
  return { length, words, lastWord: bytes.readInt32LE(length - 4) }
}

/** Whether the document has exactly these bytes there. */
export function isAt({ length, words, lastWord }: Quoted, { view }: JsonDocument, from: number, to: number): boolean {
  if (length !== to - from) return false
  for (let at = 0; at < words.length; at++) if (view.getInt32(from + at * 4, true) !== words[at]) return false
  return view.getInt32(to - 4, true) === lastWord
}
