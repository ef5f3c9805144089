import type { RequestBytes } from '../../platform/ocsf/request-bytes.ts'
import { decodings } from './decode.ts'
import type { LiteralSearch } from './literals.ts'

type Found = (id: number) => void

const NO_METHOD = Buffer.from('-')
const SPACE = Buffer.from(' ')
const MARK = Buffer.from('?')
const COLON = Buffer.from(': ')
const LETTER_R = 0x72
const TO_LOWER = 0x20

/**
 * Searches a whole request in one pass over its JSON: for waking rules, whose literals may then be anywhere in it. Finds all that a
 * search of each field by itself would find, and perhaps more. Only what hides characters (a percent sign, bytes beyond ASCII) is made
 * into text.
 */
export class RequestSearch {
  readonly #search: LiteralSearch
  readonly #found: Found
  #request: RequestBytes | undefined

  constructor(search: LiteralSearch, found: Found) {
    this.#search = search
    this.#found = found
  }

  run(request: RequestBytes): void {
    this.#request = request
    const { document, path, hostFrom, hostTo } = request
    if (path === 0) this.#text(request.method)
    else if (!this.#target(request)) this.#targetTexts(request)
    if (hostTo > 0) this.#search.searchBytes(document.bytes, hostFrom, hostTo, 0, this.#found)
    request.visitHeaders(this.#header)
    this.#request = undefined
  }

  /** `GET /path?args`; false if it must be made into text. */
  #target({ method, path, args }: RequestBytes): boolean {
    let state = method === 0 ? this.#plain(NO_METHOD, 0) : this.#entry(method, 0)
    if (state >= 0) state = this.#plain(SPACE, state)
    if (state >= 0) state = this.#entry(path, state)
    if (state < 0 || args === 0) return state >= 0
    // `+` may be a space in a query.
    const { document } = this.#request!
    if (document.bytes.subarray(document.from(args), document.to(args)).includes('+')) return false
    state = this.#plain(MARK, state)
    return this.#entry(args, state) >= 0
  }

  #targetTexts({ document, method, path, args }: RequestBytes): void {
    const start = method === 0 ? '-' : document.text(method)
    const query = args === 0 ? '' : document.text(args)
    const stem = document.text(path)
    const target = query === '' ? stem : `${stem}?${query}`
    for (const text of decodings(target, 'url')) this.#search.search(`${start} ${text}`, this.#found)
    // Path and query by themselves decode to parts of that, unless the query seems to begin elsewhere.
    if (!stem.includes('?')) return
    for (const text of decodings(query, 'query')) this.#search.search(text, this.#found)
    for (const text of decodings(stem, 'text')) this.#search.search(text, this.#found)
  }

  readonly #header = (name: number, value: number): void => {
    const { document } = this.#request!
    let state = this.#entry(name, 0)
    if (state >= 0) state = this.#plain(COLON, state)
    if (state >= 0) state = this.#entry(value, state)
    const isForm = this.#mayBeForm(name, value)
    if (state >= 0 && !isForm) return
    const written = document.text(value)
    for (const text of decodings(`${document.text(name)}: ${written}`, 'text')) this.#search.search(text, this.#found)
    if (isForm) for (const text of decodings(written, 'url')) this.#search.search(text, this.#found)
  }

  /** A Referer has a query of its own, in which `+` is a space; of the other headers starting with r there are few. */
  #mayBeForm(name: number, value: number): boolean {
    const { document } = this.#request!
    if ((document.bytes[document.from(name) + 1]! | TO_LOWER) !== LETTER_R) return false
    return document.bytes.subarray(document.from(value), document.to(value)).includes('+')
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
