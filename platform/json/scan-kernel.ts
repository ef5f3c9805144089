/** scan.wat, called: the scan of JSON as most records have it, in WebAssembly with SIMD. */
import { moduleBase64 } from './scan-module.ts'
import { maker } from './wasm.ts'

interface Kernel {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly scan: (length: number, base: number, depthMax: number, keysMax: number) => number
}

const { memory, scan } = maker<Kernel>(moduleBase64)()

/** As laid out in scan.wat: a tape has up to eight bytes for each of the text. Pages that nobody writes are never made. */
export const KERNEL_BYTES_MAX = 1024 * 1024
const OUTPUT_FROM = 0x110000
const input = new Uint8Array(memory.buffer, 0, KERNEL_BYTES_MAX)
const output = new Int32Array(memory.buffer, OUTPUT_FROM, (8 * KERNEL_BYTES_MAX) / 4)

export const NOT_SCANNED = -1

/**
 * Writes the tape (scan.ts) of a text of at most KERNEL_BYTES_MAX to `tape` from `base` on. Gives how many numbers it has, twice, and 1 more
 * when some string may hold a byte over 0x7f; or NOT_SCANNED for a text that is no JSON, has too much of something, or holds
 * what is rare in records: white space between its parts, `\u`, numbers other than digits.
 */
export function scanFast(bytes: Uint8Array, tape: Int32Array, base: number, depthMax: number, keysMax: number): number {
  input.set(bytes)
  const found = scan(bytes.length, base, depthMax, keysMax)
  if (found === NOT_SCANNED) return NOT_SCANNED
  const numbers = found >> 2
  tape.set(output.subarray(0, numbers), base)
  return (numbers << 1) | (found & 1)
}
