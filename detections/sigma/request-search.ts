import { NeedleKernel, UNTOLD } from '../../platform/json/needle-kernel.ts'
import type { RequestBytes } from '../../platform/ocsf/request-bytes.ts'
import { decodings } from './decode.ts'
import { type Literal, LiteralSearch } from './literals.ts'

type Found = (id: number) => void

const NO_METHOD = Buffer.from('-')
const SPACE = Buffer.from(' ')
const MARK = Buffer.from('?')
const COLON = Buffer.from(': ')
/** What stands between name and value in the JSON of a header. */
const BETWEEN = '","value":"'
/** Fewer literals are not worth a memory of their own. */
export const KERNEL_FROM = 8
const PERCENT = 0x25
const PLUS = 0x2b
const LETTER_R = 0x72
const TO_LOWER = 0x20

/**
 * Searches a whole request in few passes over its JSON: for waking rules, whose literals may then be anywhere in it. Finds all that a
 * search of each field by itself would find, and perhaps more. Only what hides characters (a percent sign, bytes beyond ASCII) is made
 * into text.
 */
export class RequestSearch {
  readonly #search: LiteralSearch
  /** The same literals for headers as most are. */
  readonly #kernel: NeedleKernel | undefined
  readonly #found: Found
  #request: RequestBytes | undefined
  /** Position of the next percent sign in the headers. */
  #percentAt = 0

  constructor(literals: readonly Literal[], found: Found, kernelFrom = KERNEL_FROM) {
    const anywhere = literals.flatMap(({ id, text }): Literal[] =>
      [text, ...acrossHeader(text)].map(each => ({ id, text: each, place: 'inside' })),
    )
    this.#search = new LiteralSearch(anywhere)
    const written = literals.flatMap(({ id, text }) =>
      [inJson(text), ...acrossHeader(text, inJson)].map(each => ({ id, text: each })),
    )
    this.#kernel = literals.length >= kernelFrom ? NeedleKernel.of(written, this.#search.firstBytes()) : undefined
    this.#found = found
  }

  run(request: RequestBytes): void {
    this.#request = request
    const { document, path, hostFrom, hostTo, headersFrom, headersTo } = request
    if (path === 0) this.#text(request.method)
    else this.#target(request)
    // The Host header is most often where the host is from.
    const isInHeaders = hostFrom >= headersFrom && hostTo <= headersTo
    if (hostTo > 0 && !isInHeaders) this.#search.searchBytes(document.bytes, hostFrom, hostTo, 0, this.#found)
    this.#headers(request)
    this.#request = undefined
  }

  #target(request: RequestBytes): void {
    const { document, method, path, args } = request
    this.#search.sawPercent = false
    let state = method === 0 ? this.#plain(NO_METHOD, 0) : this.#entry(method, 0)
    if (state >= 0) state = this.#plain(SPACE, state)
    if (state >= 0) state = this.#entry(path, state)
    if (state >= 0 && args !== 0) state = this.#entry(args, this.#plain(MARK, state))
    if (state >= 0 && !this.#search.sawPercent && (args === 0 || !this.#hasPlus(args))) return
    const start = method === 0 ? '-' : document.text(method)
    const stem = document.text(path)
    const query = args === 0 ? '' : document.text(args)
    const target = query === '' ? stem : `${stem}?${query}`
    this.#texts(decodings(target, 'url'), state >= 0, `${start} `)
    // Path and query by themselves decode to parts of that, unless the query seems to begin elsewhere.
    if (!stem.includes('?')) return
    this.#texts(decodings(query, 'query'), false)
    this.#texts(decodings(stem, 'text'), false)
  }

  /** In one go over the JSON of all of them, and then only those that hide something; one by one where that cannot be. */
  #headers(request: RequestBytes): void {
    const { document, headersFrom, headersTo, referer } = request
    const seen = headersTo === 0 ? UNTOLD : this.#seenInHeaders(document.bytes, headersFrom, headersTo)
    if (seen === UNTOLD) {
      request.visitHeaders(this.#header)
      return
    }
    if (referer !== 0 && this.#hasPlus(referer)) this.#texts(decodings(document.text(referer), 'url'), true)
    if (seen === 0) return
    this.#percentAt = document.bytes.indexOf(PERCENT, headersFrom)
    // All in one go, or one by one.
    if (this.#search.searchDecoded(document.bytes, headersFrom, headersTo, this.#percentAt, this.#found)) return
    request.visitHeaders(this.#decoded)
  }

  /** 1 when there is a percent sign, 0 when not; UNTOLD when they have to be made into texts. */
  #seenInHeaders(bytes: Uint8Array, from: number, to: number): number {
    const seen = this.#kernel?.search(bytes, from, to, this.#found) ?? UNTOLD
    if (seen !== UNTOLD) return seen
    this.#search.sawPercent = false
    if (this.#search.searchBytes(bytes, from, to, 0, this.#found) < 0) return UNTOLD
    return this.#search.sawPercent ? 1 : 0
  }

  /** Headers come in the order of their bytes. */
  readonly #decoded = (name: number, value: number): void => {
    const { document } = this.#request!
    const end = document.to(value)
    const percentAt = this.#percentAt
    if (percentAt < 0 || percentAt >= end) return
    this.#percentAt = document.bytes.indexOf(PERCENT, end)
    // From the name on: what stands between the two in the JSON is in the literals that reach over it.
    const from = document.from(name) + 1
    if (this.#search.searchDecoded(document.bytes, from, end - 1, percentAt, this.#found)) return
    this.#texts(decodings(`${document.text(name)}: ${document.text(value)}`, 'text'), true)
  }

  readonly #header = (name: number, value: number): void => {
    const { document } = this.#request!
    this.#search.sawPercent = false
    let state = this.#entry(name, 0)
    if (state >= 0) state = this.#plain(COLON, state)
    if (state >= 0) state = this.#entry(value, state)
    const isForm = this.#mayBeForm(name, value)
    if (state >= 0 && !this.#search.sawPercent && !isForm) return
    const written = document.text(value)
    this.#texts(decodings(`${document.text(name)}: ${written}`, 'text'), state >= 0)
    if (isForm) this.#texts(decodings(written, 'url'), state >= 0)
  }

  /** `searched`: the first, as it is written, was searched byte by byte. */
  #texts(variants: readonly string[], searched: boolean, start = ''): void {
    for (let at = searched ? 1 : 0; at < variants.length; at++) this.#search.search(start + variants[at]!, this.#found)
  }

  /** A Referer has a query of its own, in which `+` is a space; of the other headers starting with r there are few. */
  #mayBeForm(name: number, value: number): boolean {
    const { document } = this.#request!
    if ((document.bytes[document.from(name) + 1]! | TO_LOWER) !== LETTER_R) return false
    return this.#hasPlus(value)
  }

  #hasPlus(entry: number): boolean {
    const { document } = this.#request!
    const at = document.bytes.indexOf(PLUS, document.from(entry))
    return at >= 0 && at < document.to(entry)
  }

  #text(entry: number): void {
    if (entry !== 0) this.#search.search(this.#request!.document.text(entry), this.#found)
  }

  #entry(entry: number, state: number): number {
    const { document } = this.#request!
    return this.#search.searchBytes(
      document.bytes,
      document.from(entry) + 1,
      document.to(entry) - 1,
      state,
      this.#found,
    )
  }

  #plain(bytes: Uint8Array, state: number): number {
    return this.#search.searchBytes(bytes, 0, bytes.length, state, this.#found)
  }
}

/** How a text reads in the JSON of headers when it reaches over the `: ` between a name and its value, or into it; `as`: each side of it. */
function acrossHeader(text: string, as: (part: string) => string = part => part): readonly string[] {
  const variants: string[] = []
  for (let at = text.indexOf(': '); at >= 0; at = text.indexOf(': ', at + 1)) {
    variants.push(as(text.slice(0, at)) + BETWEEN + as(text.slice(at + 2)))
  }
  if (text.endsWith(':')) variants.push(as(text.slice(0, -1)) + BETWEEN)
  if (text.startsWith(' ')) variants.push(BETWEEN + as(text.slice(1)))
  return variants
}

/** A text of ASCII as it stands in JSON that escapes no more than it must. */
export function inJson(text: string): string {
  return JSON.stringify(text).slice(1, -1)
}
