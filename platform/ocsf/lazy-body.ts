import type { JsonDocument } from '../json/document.ts'
import { JsonWriter } from '../json/writer.ts'
import type { OcsfEvent } from './event.ts'
import type { RequestBytes } from './request-bytes.ts'

/** What a lazy body is made from. */
export interface BodySource {
  readonly document: JsonDocument
  /** What http_request, metadata and firewall_rule are made from, if they are. */
  requestBytes?(): RequestBytes
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

type Fields = Record<string, unknown>

/** What RequestBytes say. */
const requestFields = ['http_request', 'metadata', 'firewall_rule'] as const

/** What every proxy stands before: only its prototype is ever seen. */
const NOTHING: OcsfEvent = {}

/**
 * A body whose fields are made when somebody looks at them. To every reader and writer it is a plain object (of which
 * `structuredClone` alone can make no copy) with frozen values: a change is a new value for its field. So encoding can write
 * straight from the document what nobody changed, whoever looked at it.
 */
export class LazyBody<Source extends BodySource = BodySource> implements ProxyHandler<OcsfEvent> {
  readonly source: Source
  readonly #layout: BodyLayout<Source>
  /** By part: the fields that were looked at or set. */
  readonly #made: (Fields | undefined)[] = []
  /** Bit of each part with a field that was set: the document no longer says what it is. */
  #changed = 0
  /** Fields of no part. */
  #others: Fields | undefined

  constructor(source: Source, layout: BodyLayout<Source>) {
    this.source = source
    this.#layout = layout
  }

  /** The body as components see it. */
  proxy(): OcsfEvent {
    return new Proxy(NOTHING, this)
  }

  /** The lazy body behind `body`; undefined if that is a plain object. */
  static behind(body: OcsfEvent): LazyBody | undefined {
    return (body as { readonly [behind]?: LazyBody })[behind]
  }

  /**
   * For a change of the document: what was only read is forgotten, and will be read again. Gives the fields that do not come from
   * the document; undefined if there are none.
   */
  forget(): OcsfEvent | undefined {
    const changed: Fields[] = this.#others ? [this.#others] : []
    for (let part = 0; part < this.#made.length; part++) {
      if ((this.#changed & (1 << part)) === 0) this.#made[part] = undefined
      else changed.push(this.#made[part]!)
    }
    return changed.length === 0 ? undefined : Object.assign({}, ...changed)
  }

  /** The request as it stands in the document; undefined when there is none, or something of it reads as something else by now. */
  requestBytes(): RequestBytes | undefined {
    for (const field of requestFields) {
      const part = this.#layout.partOf.get(field)
      if (part === undefined || (this.#changed & (1 << part)) !== 0) return undefined
    }
    return this.source.document.replacements.length > 0 ? undefined : this.source.requestBytes?.()
  }

  encode(): Buffer {
    const { parts } = this.#layout
    out.begin()
    for (let part = 0; part < parts.length; part++) {
      if ((this.#changed & (1 << part)) === 0) parts[part]!.write(this.source, out)
      else writeFields(parts[part]!.fields, this.#made[part]!)
    }
    if (this.#others) writeFields(Object.keys(this.#others), this.#others)
    out.asObject(0)
    return out.finish()
  }

  #make(part: number): Fields {
    this.#made[part] ??= this.#read(part)
    return this.#made[part]
  }

  #read(part: number): Fields {
    const { read, write } = this.#layout.parts[part]!
    if (read && this.source.document.replacements.length === 0) return read(this.source) as Fields
    scratch.begin()
    write(this.source, scratch)
    scratch.asObject(0)
    return freeze(JSON.parse(scratch.text()))
  }

  /** The plain object this stands for. */
  #whole(): Fields {
    const fields: Fields = {}
    for (let part = 0; part < this.#layout.parts.length; part++) Object.assign(fields, this.#make(part))
    return Object.assign(fields, this.#others)
  }

  get(target: OcsfEvent, key: string | symbol): unknown {
    if (key === behind) return this
    const part = typeof key === 'string' ? this.#layout.partOf.get(key) : undefined
    if (part !== undefined) return this.#make(part)[key as string]
    if (this.#others && Object.hasOwn(this.#others, key)) return this.#others[key as string]
    return Reflect.get(target, key)
  }

  set(_target: OcsfEvent, key: string | symbol, value: unknown): boolean {
    return this.#change(key, fields => {
      fields[key as string] = value
    })
  }

  deleteProperty(_target: OcsfEvent, key: string | symbol): boolean {
    return this.#change(key, fields => {
      delete fields[key as string]
    })
  }

  /** On a copy of the part's fields, which may be shared. False for a key that is no field. */
  #change(key: string | symbol, change: (fields: Fields) => void): boolean {
    if (typeof key === 'symbol' || key === '__proto__') return false
    const part = this.#layout.partOf.get(key)
    if (part === undefined) {
      this.#others ??= {}
      change(this.#others)
      return true
    }
    const fields = this.#layout.parts[part]!.fields.length === 1 ? {} : { ...this.#make(part) }
    change(fields)
    this.#made[part] = fields
    this.#changed |= 1 << part
    return true
  }

  defineProperty(target: OcsfEvent, key: string | symbol, descriptor: PropertyDescriptor): boolean {
    return 'value' in descriptor && this.set(target, key, descriptor.value)
  }

  has(target: OcsfEvent, key: string | symbol): boolean {
    return Object.hasOwn(this.#whole(), key) || Reflect.has(target, key)
  }

  ownKeys(): (string | symbol)[] {
    return Reflect.ownKeys(this.#whole())
  }

  getOwnPropertyDescriptor(_target: OcsfEvent, key: string | symbol): PropertyDescriptor | undefined {
    return Object.getOwnPropertyDescriptor(this.#whole(), key)
  }
}

function writeFields(names: readonly string[], fields: Fields): void {
  for (const name of names) out.member(name, fields[name])
}

/** A value of JSON, with everything in it. */
function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  for (const inner of Object.values(value)) freeze(inner)
  return Object.freeze(value)
}
