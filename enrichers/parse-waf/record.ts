import type { Event } from '../../engine/contract.ts'
import type { JsonDocument } from '../../platform/json/document.ts'
import { STRING } from '../../platform/json/scan.ts'
import type { BodySource } from '../../platform/ocsf/lazy-body.ts'
import type { RequestBytes } from '../../platform/ocsf/request-bytes.ts'
import { type Method, noMethod } from './codes.ts'
import { F } from './fields.ts'
import { type Headers, noHeaders, visitHeaders } from './headers.ts'
import { labelsOf, namesRules } from './labels.ts'

/**
 * One AWS WAF log record: where its fields are in the document, and what of it stays unmapped. A field of a type or
 * value that the mapping has no place for counts as absent here and as unmapped there.
 */
export class WafRecord implements BodySource {
  readonly event: Event
  readonly document: JsonDocument
  /** Entry of each field's value; 0 = absent. */
  readonly at: number[]
  timeMs = Number.NaN
  ip: string | undefined = undefined
  /** The host without its port, as a range of bytes; none if `hostTo` is 0. */
  hostFrom = 0
  hostTo = 0
  headers: Readonly<Headers> = noHeaders
  method: Method = noMethod
  tlsVersion: string | undefined = undefined
  /** Members that stay unmapped, as a list of ranges of the document: from, to, from, to … */
  unmapped: readonly number[] = []
  unmappedRequest: readonly number[] = []
  #namesRules: boolean | undefined = undefined
  #requestBytes: RequestBytes | undefined = undefined

  constructor(event: Event, document: JsonDocument, at: number[]) {
    this.event = event
    this.document = document
    this.at = at
  }

  has(field: number): boolean {
    return this.at[field] !== 0
  }

  /** What a string field says. */
  text(field: number): string {
    return this.document.text(this.at[field]!)
  }

  /** The lists of rules name one: there may be labels of what would have been blocked. */
  namesRules(): boolean {
    this.#namesRules ??= namesRules(this.document, this.at)
    return this.#namesRules
  }

  /** A method that OCSF does not know counts as absent: the request has it all the same. */
  #otherMethod(): number {
    const entry = this.document.member(this.at[F.httpRequest]!, '"httpMethod"')
    return entry !== 0 && this.document.kind(entry) === STRING ? entry : 0
  }

  requestBytes(): RequestBytes {
    this.#requestBytes ??= new WafRequestBytes(this, this.at[F.httpMethod]! || this.#otherMethod())
    return this.#requestBytes
  }
}

/** A class: three functions of its own for each record were a twentieth of all that a detector allocates. */
class WafRequestBytes implements RequestBytes {
  readonly document: JsonDocument
  readonly logName = LOG_NAME
  readonly method: number
  readonly path: number
  readonly args: number
  readonly hostFrom: number
  readonly hostTo: number
  readonly referer: number
  readonly userAgent: number
  readonly headersFrom: number
  readonly headersTo: number
  readonly ruleId: number
  readonly ruleType: number
  readonly labelList: number
  readonly #record: WafRecord
  #labels: readonly string[] | undefined = undefined

  constructor(record: WafRecord, method: number) {
    const { at, document, hostFrom, hostTo, headers } = record
    const list = headers.exact ? at[F.headers]! : 0
    this.#record = record
    this.document = document
    this.method = method
    this.path = at[F.uri]!
    this.args = at[F.args]!
    this.hostFrom = hostFrom
    this.hostTo = hostTo
    this.referer = headers.referer
    this.userAgent = headers.userAgent
    this.headersFrom = list === 0 ? 0 : document.from(list)
    this.headersTo = list === 0 ? 0 : document.to(list)
    this.ruleId = at[F.terminatingRuleId]!
    this.ruleType = this.ruleId === 0 ? 0 : at[F.terminatingRuleType]!
    this.labelList = at[F.labels]!
  }

  hasMoreLabels(): boolean {
    return this.#record.namesRules()
  }

  labels(): readonly string[] {
    this.#labels ??= labelsOf(this.#record)
    return this.#labels
  }

  visitHeaders(each: (name: number, value: number) => void): void {
    const list = this.#record.at[F.headers]!
    if (list !== 0) visitHeaders(this.document, list, each)
  }
}

/** As text.ts writes it. */
const LOG_NAME = 'aws_waf'
