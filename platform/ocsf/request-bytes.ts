import type { JsonDocument } from '../json/document.ts'

/**
 * A web request that is still JSON, for who searches its texts and would rather not make them. Says the same as `http_request` and
 * `metadata` of the body. Entries of `document`; 0 = not there.
 */
export interface RequestBytes {
  readonly document: JsonDocument
  readonly method: number
  readonly path: number
  readonly args: number
  /** The host without its port, as a range of the document's bytes; none if `hostTo` is 0. */
  readonly hostFrom: number
  readonly hostTo: number
  /** `metadata.labels` of the body; empty if there are none. */
  labels(): readonly string[]
  /** Each header, in the order of the record. */
  visitHeaders(each: (name: number, value: number) => void): void
}
