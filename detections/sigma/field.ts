import type { HttpRequest, OcsfEvent } from '../../platform/ocsf/event.ts'
import type { RequestBytes } from '../../platform/ocsf/request-bytes.ts'

/** What a rule can look at. One object for all names of one thing, so that it is read once an event. */
export interface Field {
  readonly name: string
  /** What a text in it says about a request: rules are woken by good clues, not by those that many requests have. */
  readonly clue: Clue
  /** The field it is made from. */
  readonly base?: Field
  /** Its values, with what URL encoding hides where that is usual; none when the event has not the field. `base`: those of the base. */
  read(body: OcsfEvent, request: HttpRequest, base: readonly string[]): readonly string[]
  /** It is read from the body alone: nobody need make the request for it. */
  readonly withoutRequest?: boolean
  /** Its values are texts of the request, at most decoded: a search of the whole request finds what is in them. */
  readonly inRequest?: boolean
  /**
   * Of a request that is still JSON: the value in whose bytes all of its texts stand as they are; 0 = it has none, undefined = they
   * are not in one place.
   */
  entry?(request: RequestBytes): number | undefined
  /**
   * Of a request that is still JSON: the string that is its one value, if nothing in it is encoded; 0 = it has none. Short, so that it
   * is searched by itself.
   */
  string?(request: RequestBytes): number
  /** The same values from a request that is still JSON. */
  readBytes?(request: RequestBytes, base: readonly string[]): readonly string[]
}
export type Clue = 'good' | 'poor'
