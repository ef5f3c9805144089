/** ASCII text that is written again and again, as four bytes at a time: several times cheaper to write than a string. */
export interface Literal {
  readonly words: Int32Array
  readonly length: number
}

export function literal(text: string): Literal {
  const bytes = Buffer.alloc(Math.ceil(text.length / 4) * 4)
  bytes.write(text, 'latin1')
  const words = Int32Array.from({ length: bytes.length / 4 }, (_, at) => bytes.readInt32LE(at * 4))
  return { words, length: text.length }
}
