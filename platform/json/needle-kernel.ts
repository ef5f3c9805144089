/** needles.wat, with its tables filled: many texts looked for in a range of JSON at once, whatever their case. */
import { moduleBase64 } from './needles-module.ts'
import { maker } from './wasm.ts'

interface Kernel {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly search: (length: number) => number
}

/** A text as it stands in JSON: ASCII, its letters in lower case. */
export interface Needle {
  readonly text: string
  /** Below 65,536. */
  readonly id: number
}

/** As laid out in needles.wat. */
const INPUT_BYTES_MAX = 0x8000
const BITS = 0x9000
const HEADS = 0xb000
const PAIR_TABLES = 0xd000
const PAIR_HEADS = 0xd100
const FOUND = 0xd400
const LEADS = 0xd800
const ENTRIES = 0xe000
const ENTRY_BYTES = 16
const TEXTS = 0x16000
const TEXTS_END = 0x40000
const ENTRIES_MAX = (TEXTS - ENTRIES) / ENTRY_BYTES
/** Shorter texts are looked up by two of their bytes. */
const LONG = 5
/** Of longer texts that many bytes are compared: who has them has the text, nearly always, and nobody can make it cost more. */
const COMPARED_BYTES = 32
const PAIR_CLASSES = 8
const MULTIPLIER = 0x9e3779b1
const ASCII = /^[\x20-\x7f]*$/

/** What browsers send with every request, and is poor to look a text up by. */
const USUAL =
  '[{"name":"host","value":"www.shop.example"},{"name":"user-agent","value":"mozilla/5.0 (windows nt 10.0; win64; x64) ' +
  'applewebkit/537.36 (khtml, like gecko) chrome/142.0.0.0 safari/537.36 (macintosh; intel mac os x 10_15_7) version/18.1 ' +
  '(iphone; cpu iphone os 18_1 like mac os x) mobile/15e148 (linux; android 14; sm-s921n) gecko/20100101 firefox/145.0 edg/142.0"},' +
  '{"name":"accept","value":"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"},' +
  '{"name":"accept-language","value":"ko-kr,ko;q=0.9,en-us;q=0.8,en;q=0.7"},{"name":"accept-encoding","value":"gzip, deflate, br, zstd"},' +
  '{"name":"sec-ch-ua","value":"\\"chromium\\";v=\\"142\\", \\"google chrome\\";v=\\"142\\", \\"not_a brand\\";v=\\"99\\""},' +
  '{"name":"sec-ch-ua-platform","value":"\\"windows\\""},{"name":"sec-fetch-site","value":"same-origin"},{"name":"sec-fetch-mode","value":"cors"},' +
  '{"name":"referer","value":"https://www.shop.example/products/search?q=bag&sort=price&page=2&utm_source=google&utm_campaign=sale"},' +
  '{"name":"cookie","value":"session_id=0; session-id=; token=; csrf=; _ga=ga1.1.; _gid=; aws-waf-token=; cart=; user_id=; lang=ko"},' +
  '{"name":"content-type","value":"application/json"},{"name":"content-type","value":"application/x-www-form-urlencoded; charset=utf-8"},' +
  '{"name":"x-forwarded-for","value":"203.0.113.7"},{"name":"connection","value":"keep-alive"},{"name":"cache-control","value":"no-cache"}]'

/** What it cannot tell: the range has to be searched in another way. */
export const UNTOLD = -1

export class NeedleKernel {
  readonly #input: Uint8Array
  readonly #found: Uint32Array
  readonly #search: (length: number) => number

  /**
   * undefined when the texts are too many, or one is too short. `leads`: first bytes, in UTF-8, of the characters beyond ASCII that
   * stand in a text or for a character of it. Texts that have some stand in no range it can tell of.
   */
  static of(needles: readonly Needle[], leads: readonly number[]): NeedleKernel | undefined {
    const known = needles.filter(({ text }) => ASCII.test(text))
    if (known.some(({ text, id }) => text.length < 2 || id > 0xffff)) return undefined
    const kernel = makeKernel()
    return new Tables(kernel.memory.buffer).fill(known, leads) ? new NeedleKernel(kernel) : undefined
  }

  private constructor({ memory, search }: Kernel) {
    this.#input = new Uint8Array(memory.buffer, 0, INPUT_BYTES_MAX)
    this.#found = new Uint32Array(memory.buffer, FOUND, 256)
    this.#search = search
  }

  /**
   * Calls `found` with the id of each text that stands in the range, once or several times, and seldom of one that does not. Gives 1
   * when there is a percent sign, else 0; or UNTOLD, and then has called nobody: for bytes among `leads`, escapes other than `\"` and
   * `\\`, ranges that are long or made to cost time.
   */
  search(bytes: Uint8Array, from: number, to: number, found: (id: number) => void): number {
    const length = to - from
    if (length > INPUT_BYTES_MAX) return UNTOLD
    this.#input.set(bytes.subarray(from, to))
    const result = this.#search(length)
    if (result === UNTOLD) return UNTOLD
    for (let at = 0; at < result >> 1; at++) found(this.#found[at]!)
    return result & 1
  }
}

const makeKernel = maker<Kernel>(moduleBase64)

class Tables {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #entries = 0
  #textsEnd = TEXTS

  constructor(memory: ArrayBuffer) {
    this.#bytes = new Uint8Array(memory)
    this.#view = new DataView(memory)
  }

  /** False when there is no room. */
  fill(needles: readonly Needle[], leads: readonly number[]): boolean {
    for (const lead of leads) this.#bytes[LEADS + lead] = 1
    return needles.every(({ text, id }) => (text.length < LONG ? this.#short(text, id) : this.#long(text, id)))
  }

  /** By four bytes from one place and by four from the next, of which one is at an even place wherever the text stands. */
  #long(text: string, id: number): boolean {
    const at = leastUsual(text, LONG)
    const start = Math.max(0, Math.min(at - (COMPARED_BYTES - LONG) / 2, text.length - COMPARED_BYTES)) | 0
    const address = this.#text(text.slice(start, start + COMPARED_BYTES))
    if (address === undefined) return false
    for (const place of [at, at + 1]) {
      const key = keyOf(text, place, 4)
      const hash = hashOf(key)
      this.#bytes[BITS + (hash >>> 3)]! |= 1 << (hash & 7)
      if (!this.#entry(HEADS + 2 * (hash >>> 4), key, address, place - start, id)) return false
    }
    return true
  }

  #short(text: string, id: number): boolean {
    const at = leastUsual(text, 2)
    const address = this.#text(text)
    if (address === undefined) return false
    const key = keyOf(text, at, 2)
    const hash = hashOf(key) & 0xff
    const kind = 1 << (hash % PAIR_CLASSES)
    for (const [table, byte] of [key & 0xff, key >>> 8].entries()) {
      this.#bytes[PAIR_TABLES + table * 32 + (byte & 0x0f)]! |= kind
      this.#bytes[PAIR_TABLES + table * 32 + 16 + (byte >>> 4)]! |= kind
    }
    return this.#entry(PAIR_HEADS + 2 * hash, key, address, at, id)
  }

  #text(text: string): { readonly from: number; readonly length: number } | undefined {
    const from = this.#textsEnd
    this.#textsEnd += text.length
    if (this.#textsEnd > TEXTS_END) return undefined
    this.#bytes.set(Buffer.from(text, 'latin1'), from)
    return { from, length: text.length }
  }

  #entry(head: number, key: number, text: { from: number; length: number }, lead: number, id: number): boolean {
    const number = ++this.#entries
    if (number >= ENTRIES_MAX) return false
    const at = ENTRIES + number * ENTRY_BYTES
    this.#view.setUint32(at, key, true)
    this.#view.setUint32(at + 4, text.from, true)
    this.#view.setUint16(at + 8, lead, true)
    this.#view.setUint16(at + 10, text.length, true)
    this.#view.setUint16(at + 12, this.#view.getUint16(head, true), true)
    this.#view.setUint16(at + 14, id, true)
    this.#view.setUint16(head, number, true)
    return true
  }
}

/** As the kernel reads them: with the bit in which upper and lower case differ. */
function keyOf(text: string, from: number, length: number): number {
  let key = 0
  for (let at = 0; at < length; at++) key |= (text.charCodeAt(from + at) | 0x20) << (8 * at)
  return key >>> 0
}

function hashOf(key: number): number {
  return Math.imul(key, MULTIPLIER) >>> 16
}

/** Where in a text that many characters stand that are the least usual: letters and digits are more so than signs. */
function leastUsual(text: string, length: number): number {
  let best = 0
  let least = Number.POSITIVE_INFINITY
  for (let at = 0; at + length <= text.length; at++) {
    const piece = text.slice(at, at + length)
    let weight = (piece.match(/[a-z0-9]/g) ?? []).length / 100
    for (let from = 0; from + Math.min(4, length) <= length; from++)
      weight += USUAL.split(piece.slice(from, from + 4)).length - 1
    if (weight >= least) continue
    least = weight
    best = at
  }
  return best
}
