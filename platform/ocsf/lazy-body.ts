import type { JsonDocument } from '../json/document.ts'
import { JsonWriter } from '../json/writer.ts'
import type { OcsfEvent } from './event.ts'

/** What a lazy body is made from. */
export interface BodySource {
  readonly document: JsonDocument
}

/** Top-level fields of an event that are made together. */
export interface BodyPart<Source extends BodySource> {
  /** All it may hold, in the order it writes them. */
  readonly fields: readonly (keyof OcsfEvent)[]
  /** Writes `,"field":value` for each field that is there. */
  write(source: Source, out: JsonWriter): void
  /** The same with frozen values, when there is a shorter way than to write and parse it. */
  read?(source: Source): OcsfEvent
}

/** The parts of a class of events; their order is that of the encoded fields. */
export class BodyLayout<Source extends BodySource> {
  readonly parts: readonly BodyPart<Source>[]
  readonly partOf = new Map<string, number>()

  constructor(parts: readonly BodyPart<Source>[]) {
    this.parts = parts
    for (const [at, { fields }] of parts.entries()) for (const field of fields) this.partOf.set(field, at)
  }
}

const behind = Symbol('the lazy body behind a proxy')
const out = new JsonWriter()
/** For parts that are read while another text is being written. */
const scratch = new JsonWriter()

/**
 * A body whose fields are made when somebody looks at them. To every reader and writer it is a plain object (of which
 * `structuredClone` alone can make no copy) with frozen values: a change is a new value for its field. So encoding can write
 * straight from the document what nobody changed, whoever looked at it.
 */
export class LazyBody<Source extends BodySource = BodySource> implements ProxyHandler<OcsfEvent> {
  readonly source: Source
  readonly #layout: BodyLayout<Source>
  /** The fields that were looked at or set. */
  readonly #made: OcsfEvent = {}
  /** Bit of each part that is in #made. */
  #touched = 0
  /** Bit of each part with a field that was set: the document no longer says what it is. */
  #changed = 0
  #hasOthers = false

  constructor(source: Source, layout: BodyLayout<Source>) {
    this.source = source
    this.#layout = layout
  }

  /** The body as components see it. */
  proxy(): OcsfEvent {
    return new Proxy(this.#made, this)
  }

  /** The lazy body behind `body`; undefined if that is a plain object. */
  static behind(body: OcsfEvent): LazyBody | undefined {
    return (body as { readonly [behind]?: LazyBody })[behind]
  }

  /** For a change of the document: what was only read is forgotten, and what is left are the fields that come from elsewhere. */
  forget(): OcsfEvent {
    const { parts } = this.#layout
    for (let at = 0; this.#touched !== this.#changed && at < parts.length; at++) {
      if (((this.#touched ^ this.#changed) & (1 << at)) === 0) continue
      for (const field of parts[at]!.fields) delete this.#made[field]
    }
    this.#touched = this.#changed
    return this.#made
  }

  encode(): Buffer {
    const { parts } = this.#layout
    out.begin()
    for (let at = 0; at < parts.length; at++) {
      if ((this.#changed & (1 << at)) === 0) parts[at]!.write(this.source, out)
      else this.#writeMade(parts[at]!.fields)
    }
    if (this.#hasOthers) {
      this.#writeMade(Object.keys(this.#made).filter(field => !this.#layout.partOf.has(field)))
    }
    out.asObject(0)
    return out.finish()
  }

  #writeMade(fields: readonly string[]): void {
    const made = this.#made as Readonly<Record<string, unknown>>
    for (const field of fields) out.member(field, made[field])
  }

  #make(part: number): void {
    if ((this.#touched & (1 << part)) !== 0) return
    this.#touched |= 1 << part
    const { read, write } = this.#layout.parts[part]!
    if (read && this.source.document.replacements.length === 0) {
      Object.assign(this.#made, read(this.source))
      return
    }
    scratch.begin()
    write(this.source, scratch)
    scratch.asObject(0)
    Object.assign(this.#made, freeze(JSON.parse(scratch.text())))
  }

  #makeAll(): void {
    for (let part = 0; part < this.#layout.parts.length; part++) this.#make(part)
  }

  /** Before a field of a part is set or deleted: its other fields are now told by what was made. */
  #change(key: string | symbol): void {
    const part = typeof key === 'string' ? this.#layout.partOf.get(key) : undefined
    if (part === undefined) {
      this.#hasOthers = true
      return
    }
    if (this.#layout.parts[part]!.fields.length > 1) this.#make(part)
    this.#touched |= 1 << part
    this.#changed |= 1 << part
  }

  get(target: OcsfEvent, key: string | symbol): unknown {
    if (key === behind) return this
    const part = typeof key === 'string' ? this.#layout.partOf.get(key) : undefined
    if (part !== undefined) this.#make(part)
    return Reflect.get(target, key)
  }

  set(target: OcsfEvent, key: string | symbol, value: unknown): boolean {
    this.#change(key)
    return Reflect.set(target, key, value)
  }

  has(target: OcsfEvent, key: string | symbol): boolean {
    this.#makeAll()
    return Reflect.has(target, key)
  }

  ownKeys(target: OcsfEvent): (string | symbol)[] {
    this.#makeAll()
    return Reflect.ownKeys(target)
  }

  getOwnPropertyDescriptor(target: OcsfEvent, key: string | symbol): PropertyDescriptor | undefined {
    this.#makeAll()
    return Reflect.getOwnPropertyDescriptor(target, key)
  }

  defineProperty(target: OcsfEvent, key: string | symbol, descriptor: PropertyDescriptor): boolean {
    this.#change(key)
    return Reflect.defineProperty(target, key, descriptor)
  }

  deleteProperty(target: OcsfEvent, key: string | symbol): boolean {
    this.#change(key)
    return Reflect.deleteProperty(target, key)
  }
}

/** A value of JSON, with everything in it. */
function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  for (const inner of Object.values(value)) freeze(inner)
  return Object.freeze(value)
}
