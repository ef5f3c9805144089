import type { HttpRequest, OcsfEvent } from '../../platform/ocsf/event.ts'
import { type Compiled, compile } from './compile.ts'
import type { Field } from './fields.ts'
import { fold } from './fold.ts'
import { type Literal, LiteralSearch } from './literals.ts'
import type { Rule } from './rule.ts'

const NO_REQUEST: HttpRequest = Object.freeze({})
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
  readonly search: LiteralSearch | undefined
  values: readonly string[] = []
  folded: readonly string[] = []
  /** Generations in which the above were made. */
  readAt = 0
  foldedAt = 0
  searchedAt = 0

  constructor(field: Field, literals: readonly Literal[]) {
    this.field = field
    this.search = literals.length > 0 ? new LiteralSearch(literals) : undefined
  }
}

/**
 * All rules at once. The fields whose literals can wake a rule are searched, each in one pass; only the rules that woke are
 * evaluated, and with them the fields that nobody needed yet. An event in which no literal stands costs nothing by rule.
 */
export class Matcher implements View {
  readonly #compiled: Compiled
  readonly #slots: readonly Slot[]
  /** Numbers of the fields that wake rules. */
  readonly #waking: readonly number[]
  /** By literal and by rule: the generation in which it was found, or woke. */
  readonly #found: Uint32Array
  readonly #awake: Uint32Array
  readonly #woken: number[] = []
  #generation = 0
  #body: OcsfEvent = {}
  #request: HttpRequest = NO_REQUEST

  constructor(rules: readonly Rule[]) {
    this.#compiled = compile(rules)
    const { fields, literals } = this.#compiled
    this.#slots = fields.map(
      (field, at) =>
        new Slot(
          field,
          literals.filter(each => each.field === at),
        ),
    )
    this.#waking = this.#compiled.waking
    this.#found = new Uint32Array(literals.length)
    this.#awake = new Uint32Array(rules.length)
  }

  /** The rules that match an event, in the order in which they were loaded. */
  match(body: OcsfEvent): readonly Rule[] {
    this.#begin(body)
    for (const field of this.#waking) this.#search(field)
    const matched = this.#evaluated()
    this.#body = {}
    this.#request = NO_REQUEST
    return matched
  }

  #begin(body: OcsfEvent): void {
    if (this.#generation === GENERATION_MAX) {
      this.#found.fill(0)
      this.#awake.fill(0)
      for (const slot of this.#slots) slot.readAt = slot.foldedAt = slot.searchedAt = 0
      this.#generation = 0
    }
    this.#generation++
    this.#body = body
    this.#request = body.http_request ?? NO_REQUEST
    this.#woken.length = 0
  }

  #evaluated(): readonly Rule[] {
    const { always, rules } = this.#compiled
    if (always.length === 0 && this.#woken.length === 0) return NO_RULES
    const candidates = [...always, ...this.#woken].sort((a, b) => a - b)
    return candidates.filter(at => rules[at]!.holds(this)).map(at => rules[at]!.rule)
  }

  readonly #note = (literal: number): void => {
    if (this.#found[literal] === this.#generation) return
    this.#found[literal] = this.#generation
    for (const rule of this.#compiled.wakes[literal]!) {
      if (this.#awake[rule] === this.#generation) continue
      this.#awake[rule] = this.#generation
      this.#woken.push(rule)
    }
  }

  #search(field: number): void {
    const slot = this.#slots[field]!
    if (slot.searchedAt === this.#generation) return
    slot.searchedAt = this.#generation
    for (const value of this.values(field)) slot.search?.search(value, this.#note)
  }

  values(field: number): readonly string[] {
    const slot = this.#slots[field]!
    if (slot.readAt !== this.#generation) {
      slot.values = slot.field.read(this.#body, this.#request)
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
    this.#search(field)
    return this.#found[literal] === this.#generation
  }
}

const NO_RULES: readonly Rule[] = []
