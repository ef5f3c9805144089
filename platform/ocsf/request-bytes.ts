import type { JsonDocument } from '../json/document.ts'

/**
 * A web request that is still JSON, for who searches its texts and would rather not make them. Says the same as `http_request`,
 * `metadata` and `firewall_rule` of the body. Entries of `document`; 0 = not there.
 */
export interface RequestBytes {
  readonly document: JsonDocument
  /** `metadata.log_name`. */
  readonly logName: string
  readonly method: number
  readonly path: number
  readonly args: number
  /** The host without its port, as a range of the document's bytes; none if `hostTo` is 0. */
  readonly hostFrom: number
  readonly hostTo: number
  /** The value of the first Referer. */
  readonly referer: number
  /** The value of the first User-Agent. */
  readonly userAgent: number
  /** All headers as a range of the document's bytes, if each is `{"name":"…","value":"…"}` and no more; none if `headersTo` is 0. */
  readonly headersFrom: number
  readonly headersTo: number
  /** `firewall_rule.uid`. */
  readonly ruleId: number
  /** `firewall_rule.type`. */
  readonly ruleType: number
  /** The list of labels that came with the record. */
  readonly labelList: number
  /** `metadata.labels` has more than that list says. */
  hasMoreLabels(): boolean
  /** `metadata.labels` of the body; empty if there are none. */
  labels(): readonly string[]
  /** Each header, in the order of the record. */
  visitHeaders(each: (name: number, value: number) => void): void
}
