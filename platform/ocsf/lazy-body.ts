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
  /** The same as an object, when there is a shorter way than to write and parse it. */
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
 * `structuredClone` alone can make no copy); encoding writes the parts nobody looked at straight from the document.
 */
export class LazyBody<Source extends BodySource = BodySource> implements ProxyHandler<OcsfEvent> {
  readonly source: Source
  readonly #layout: BodyLayout<Source>
  /** The fields that were looked at or set. */
  readonly #made: OcsfEvent = {}
  /** Bit of each part that is in #made. */
  #touched = 0
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

  /** The fields that no longer come from the document: to be looked through besides it. */
  get made(): OcsfEvent {
    return this.#made
  }

  encode(): Buffer {
    const { parts } = this.#layout
    out.begin()
    for (let at = 0; at < parts.length; at++) {
      if ((this.#touched & (1 << at)) === 0) parts[at]!.write(this.source, out)
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
    Object.assign(this.#made, JSON.parse(scratch.text()))
  }

  /** From here on this is the plain object it stands for. */
  #makeAll(): void {
    for (let part = 0; part < this.#layout.parts.length; part++) this.#make(part)
    this.#hasOthers = true
  }

  get(target: OcsfEvent, key: string | symbol): unknown {
    if (key === behind) return this
    const part = typeof key === 'string' ? this.#layout.partOf.get(key) : undefined
    if (part !== undefined) this.#make(part)
    return Reflect.get(target, key)
  }

  set(target: OcsfEvent, key: string | symbol, value: unknown): boolean {
    const part = typeof key === 'string' ? this.#layout.partOf.get(key) : undefined
    if (part === undefined) this.#hasOthers = true
    else if (this.#layout.parts[part]!.fields.length > 1) this.#make(part)
    else this.#touched |= 1 << part
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
    this.#makeAll()
    return Reflect.defineProperty(target, key, descriptor)
  }

  deleteProperty(target: OcsfEvent, key: string | symbol): boolean {
    this.#makeAll()
    return Reflect.deleteProperty(target, key)
  }
}
