import { NeedleKernel, UNTOLD } from '../../platform/json/needle-kernel.ts'
import type { OcsfEvent } from '../../platform/ocsf/event.ts'
import { LazyBody } from '../../platform/ocsf/lazy-body.ts'
import type { RequestBytes } from '../../platform/ocsf/request-bytes.ts'
import { type Compiled, compile } from './compile.ts'
import { type Field, requestFor } from './fields.ts'
import { fold } from './fold.ts'
import { type Literal, LiteralSearch } from './literals.ts'
import { inJson, KERNEL_FROM, RequestSearch } from './request-search.ts'
import type { Rule } from './rule.ts'

const NO_RULES: readonly Rule[] = []
const NO_VALUES: readonly string[] = []
/** More would take the square of their number of steps, and who asks decides how many there are. */
const FEW = 24
const GENERATION_MAX = 0xffff_ffff

/** What an evaluator asks of the event at hand. Fields are numbered; each is read, folded and searched at most once an event. */
export interface View {
  values(field: number): readonly string[]
  /** The values without regard to case. */
  folded(field: number): readonly string[]
  /** Whether the literal is in its place in some value of the field. */
  has(field: number, literal: number): boolean
}

class Slot {
  readonly field: Field
  /** Number of the field it is made from. */
  readonly base: number | undefined
  readonly search: LiteralSearch | undefined
  /** The same literals wherever they are, for fields that can be searched in their JSON. */
  readonly anywhere: LiteralSearch | undefined
  /** The same again, for JSON as most is. */
  readonly kernel: NeedleKernel | undefined
  values: readonly string[] = []
  folded: readonly string[] = []
  /** Generations in which the above were made. */
  readAt = 0
  foldedAt = 0
  searchedAt = 0
  /** In which all of its JSON was searched: what was not suspected is not there. */
  anywhereAt = 0

  constructor(field: Field, base: number | undefined, literals: readonly Literal[], kernelFrom: number) {
    this.field = field
    this.base = base
    this.search = literals.length > 0 ? new LiteralSearch(literals) : undefined
    this.anywhere = field.entry && this.search && new LiteralSearch(literals.map(anywhere))
    if (this.anywhere && literals.length >= kernelFrom) {
      const needles = literals.map(({ id, text }) => ({ id, text: inJson(text) }))
      this.kernel = NeedleKernel.of(needles, this.anywhere.firstBytes())
    }
  }
}

function anywhere({ id, text }: Literal): Literal {
  return { id, text, place: 'inside' }
}

/**
 * All rules at once. The fields whose literals can wake a rule are searched, each in one pass; only the rules that woke are
 * evaluated, and with them the fields that nobody needed yet. An event in which no literal stands costs nothing by rule.
 */
export class Matcher implements View {
  readonly #compiled: Compiled
  readonly #slots: readonly Slot[]
  /** Numbers of the fields that wake rules: those of the request, searched together where that is possible, and the others. */
  readonly #wakingRequest: readonly number[]
  readonly #wakingOthers: readonly number[]
  readonly #requestSearch: RequestSearch
  /** By literal and by rule: the generation in which it was found, was seen somewhere in the JSON of its field, or woke. */
  readonly #found: Uint32Array
  readonly #suspected: Uint32Array
  readonly #awake: Uint32Array
  readonly #woken: number[] = []
  #generation = 0
  #body: OcsfEvent = {}
  #bytes: RequestBytes | undefined

  /** `kernelFrom`: from how many literals on JSON is searched by a kernel. */
  constructor(rules: readonly Rule[], kernelFrom = KERNEL_FROM) {
    this.#compiled = compile(rules)
    const { fields, literals, wakes, waking } = this.#compiled
    this.#slots = fields.map(
      (field, at) =>
        new Slot(
          field,
          field.base && fields.indexOf(field.base),
          literals.filter(each => each.field === at),
          kernelFrom,
        ),
    )
    const isInRequest = (field: number): boolean => fields[field]!.inRequest === true && !fields[field]!.string
    this.#wakingRequest = waking.filter(isInRequest)
    this.#wakingOthers = waking.filter(field => !isInRequest(field))
    const wakers = literals.filter(({ id, field }) => wakes[id]!.length > 0 && isInRequest(field))
    this.#requestSearch = new RequestSearch(wakers, this.#wake, kernelFrom)
    this.#found = new Uint32Array(literals.length)
    this.#suspected = new Uint32Array(literals.length)
    this.#awake = new Uint32Array(rules.length)
  }

  /** The rules that match an event, in the order in which they were loaded. */
  match(body: OcsfEvent): readonly Rule[] {
    this.#begin(body)
    for (const field of this.#wakingOthers) this.#wakeBy(field)
    if (this.#bytes) this.#requestSearch.run(this.#bytes)
    else for (const field of this.#wakingRequest) this.#search(field)
    const matched = this.#evaluated()
    this.#body = {}
    this.#bytes = undefined
    return matched
  }

  #begin(body: OcsfEvent): void {
    if (this.#generation === GENERATION_MAX) {
      this.#found.fill(0)
      this.#suspected.fill(0)
      this.#awake.fill(0)
      for (const slot of this.#slots) slot.readAt = slot.foldedAt = slot.searchedAt = slot.anywhereAt = 0
      this.#generation = 0
    }
    this.#generation++
    this.#body = body
    this.#bytes = LazyBody.behind(body)?.requestBytes()
    this.#woken.length = 0
  }

  #evaluated(): readonly Rule[] {
    const { always, rules } = this.#compiled
    if (always.length === 0 && this.#woken.length === 0) return NO_RULES
    const woken = this.#woken
    if (always.length > 0) woken.push(...always)
    sortFew(woken)
    let matched: Rule[] | undefined
    for (const at of woken) {
      const { holds, rule } = rules[at]!
      if (!holds(this)) continue
      matched ??= []
      matched.push(rule)
    }
    return matched ?? NO_RULES
  }

  readonly #note = (literal: number): void => {
    if (this.#found[literal] === this.#generation) return
    this.#found[literal] = this.#generation
    this.#wake(literal)
  }

  readonly #suspect = (literal: number): void => {
    this.#suspected[literal] = this.#generation
    this.#wake(literal)
  }

  readonly #wake = (literal: number): void => {
    for (const rule of this.#compiled.wakes[literal]!) {
      if (this.#awake[rule] === this.#generation) continue
      this.#awake[rule] = this.#generation
      this.#woken.push(rule)
    }
  }

  /** Wakes at least the rules of which a literal is in the field: in its JSON, if it can be searched as it stands. */
  #wakeBy(field: number): void {
    const slot = this.#slots[field]!
    const entry = this.#bytes && slot.field.entry?.(this.#bytes)
    if (entry === 0) {
      slot.anywhereAt = this.#generation
      return
    }
    if (entry !== undefined && slot.anywhere) {
      const { document } = this.#bytes!
      if (this.#suspectIn(slot, slot.anywhere, document.bytes, document.from(entry), document.to(entry))) {
        slot.anywhereAt = this.#generation
        return
      }
    }
    this.#search(field)
  }

  /** False when its values have to be made and searched. */
  #suspectIn({ kernel }: Slot, anywhere: LiteralSearch, bytes: Buffer, from: number, to: number): boolean {
    if (kernel && kernel.search(bytes, from, to, this.#suspect) !== UNTOLD) return true
    return anywhere.searchBytes(bytes, from, to, 0, this.#suspect) >= 0
  }

  #search(field: number): void {
    const slot = this.#slots[field]!
    if (slot.searchedAt === this.#generation) return
    slot.searchedAt = this.#generation
    if (!slot.search || this.#searchString(slot, slot.search)) return
    for (const value of this.values(field)) slot.search.search(value, this.#note)
  }

  /** False when that needs the text of its values. */
  #searchString({ field }: Slot, search: LiteralSearch): boolean {
    const entry = this.#bytes && field.string?.(this.#bytes)
    if (entry === undefined || entry === 0) return entry === 0
    const { document } = this.#bytes!
    return search.searchString(document.bytes, document.from(entry) + 1, document.to(entry) - 1, this.#note)
  }

  #read(slot: Slot): readonly string[] {
    const { field } = slot
    if (this.#bytes && field.readBytes) return field.readBytes(this.#bytes, this.#base(slot))
    return field.read(this.#body, requestFor(field, this.#body), this.#base(slot))
  }

  #base({ base }: Slot): readonly string[] {
    return base === undefined ? NO_VALUES : this.values(base)
  }

  values(field: number): readonly string[] {
    const slot = this.#slots[field]!
    if (slot.readAt !== this.#generation) {
      slot.values = this.#read(slot)
      slot.readAt = this.#generation
    }
    return slot.values
  }

  folded(field: number): readonly string[] {
    const slot = this.#slots[field]!
    if (slot.foldedAt !== this.#generation) {
      slot.folded = this.values(field).map(fold)
      slot.foldedAt = this.#generation
    }
    return slot.folded
  }

  has(field: number, literal: number): boolean {
    const { anywhereAt } = this.#slots[field]!
    if (anywhereAt === this.#generation && this.#suspected[literal] !== this.#generation) return false
    this.#search(field)
    return this.#found[literal] === this.#generation
  }
}

/** In place: there are few, and `sort` makes a list of its own for them, 280 bytes a record. */
function sortFew(numbers: number[]): void {
  if (numbers.length > FEW) {
    numbers.sort((a, b) => a - b)
    return
  }
  for (let at = 1; at < numbers.length; at++) {
    const number = numbers[at]!
    let to = at
    for (; to > 0 && numbers[to - 1]! > number; to--) numbers[to] = numbers[to - 1]!
    numbers[to] = number
  }
}
