import type { LogKind } from '../../engine/contract.ts'
import type { HttpRequest, OcsfEvent } from '../../platform/ocsf/event.ts'
import { LazyBody } from '../../platform/ocsf/lazy-body.ts'
import { parsePath } from '../../platform/ocsf/path.ts'
import type { RequestBytes } from '../../platform/ocsf/request-bytes.ts'
import { httpActivity } from '../../platform/ocsf/schema.ts'
import { decodings } from './decode.ts'
import { resolveFindingField, scalarsAt } from './finding-fields.ts'

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

const NONE: readonly string[] = []
const one = (value: string | undefined): readonly string[] => (value === undefined ? NONE : [value])

function ofBody(name: string, clue: Clue, read: (body: OcsfEvent) => readonly string[]): Field {
  return { name, clue, withoutRequest: true, read }
}

function ofRequest(name: string, clue: Clue, read: (request: HttpRequest) => readonly string[]): Field {
  return { name, clue, inRequest: true, read: (_body, request) => read(request) }
}

/** Path and query as they stand in the request line: most SigmaHQ rules name a path in cs-uri-query. */
function target(path: string | undefined, args: string | undefined): readonly string[] {
  if (path === undefined) return NONE
  return decodings(args === undefined || args === '' ? path : `${path}?${args}`, 'url')
}

/** The query alone too, for rules that say how it begins. */
function withQuery(targets: readonly string[], args: string | undefined): readonly string[] {
  return args === undefined || args === '' ? targets : [...targets, ...decodings(args, 'query')]
}

function textAt({ document }: RequestBytes, entry: number): string | undefined {
  return entry === 0 ? undefined : document.text(entry)
}

const uri: Field = {
  ...ofRequest('cs-uri', 'good', ({ url, args }) => target(url?.path, args)),
  readBytes: request => target(textAt(request, request.path), textAt(request, request.args)),
}
const uriQuery: Field = {
  name: 'cs-uri-query',
  clue: 'good',
  base: uri,
  inRequest: true,
  read: (_body, { args }, targets) => withQuery(targets, args),
  readBytes: (request, targets) => withQuery(targets, textAt(request, request.args)),
}
const uriStem: Field = {
  ...ofRequest('cs-uri-stem', 'good', ({ url }) => (url?.path === undefined ? NONE : decodings(url.path, 'text'))),
  string: request => request.path,
  readBytes: request => (request.path === 0 ? NONE : decodings(request.document.text(request.path), 'text')),
}
/** The path as it stands in the request alone: what groups are made of. */
const path: Field = {
  ...ofRequest('http_request.url.path', 'good', ({ url }) => one(url?.path)),
  readBytes: request => one(textAt(request, request.path)),
}
/** The query as it stands in the request alone. */
const args: Field = {
  ...ofRequest('http_request.args', 'good', request => one(request.args)),
  readBytes: request => one(textAt(request, request.args)),
}
const method: Field = {
  name: 'cs-method',
  clue: 'poor',
  read: (body, request) => one(methodOf(body, request)),
  string: request => request.method,
  readBytes: ({ document, method: entry }) => (entry === 0 ? NONE : [document.text(entry)]),
}

/** OCSF knows nine methods; any other stays unmapped. */
function methodOf({ unmapped }: OcsfEvent, { http_method }: HttpRequest): string | undefined {
  if (http_method !== undefined) return http_method
  const rest = unmapped?.['httpRequest']
  const other = typeof rest === 'object' && rest !== null && 'httpMethod' in rest ? rest['httpMethod'] : undefined
  return typeof other === 'string' ? other : undefined
}

const version: Field = { name: 'cs-version', clue: 'poor', read: (_body, request) => one(request.version) }
const userAgent: Field = {
  ...ofRequest('cs-user-agent', 'good', request => one(request.user_agent)),
  readBytes: request => one(textAt(request, request.userAgent)),
}
const referer = ofRequest('cs-referer', 'good', request =>
  request.referrer === undefined ? NONE : decodings(request.referrer, 'url'),
)
const host: Field = {
  ...ofRequest('cs-host', 'good', ({ url }) => one(url?.hostname)),
  readBytes: ({ document, hostFrom, hostTo }) =>
    hostTo > 0 ? [document.bytes.toString('latin1', hostFrom, hostTo)] : NONE,
}
/** The rule that stopped a request: what groups are made of. */
const ruleId: Field = {
  ...ofBody('firewall_rule.uid', 'poor', body => one(body.firewall_rule?.uid)),
  readBytes: request => one(textAt(request, request.ruleId)),
}
/** Looked at in every event, for what a rate rule stopped. */
const ruleType: Field = {
  ...ofBody('firewall_rule.type', 'poor', body => one(body.firewall_rule?.type)),
  string: request => request.ruleType,
  readBytes: request => one(textAt(request, request.ruleType)),
}
const address = ofBody('c-ip', 'poor', body => one(body.src_endpoint?.ip))
const labels: Field = {
  ...ofBody('metadata.labels', 'poor', body => body.metadata?.labels ?? NONE),
  entry: request => (request.hasMoreLabels() ? undefined : request.labelList),
  readBytes: request => request.labels(),
}

/** Every value of a header. */
function header(name: string): Field {
  return ofRequest(`header ${name}`, 'good', ({ http_headers = [] }) =>
    http_headers.filter(each => each.name.toLowerCase() === name).flatMap(({ value }) => decodings(value, 'text')),
  )
}

/** What a keyword is searched in: the request line, its parts decoded, and every header as it is written, and decoded. */
export const keywords: Field = {
  name: 'keywords',
  clue: 'good',
  base: uri,
  inRequest: true,
  read(body, request, targets) {
    const headers = request.http_headers ?? []
    const asked = methodOf(body, request) ?? '-'
    return [
      ...targets.map(each => `${asked} ${each}`),
      ...headers.flatMap(({ name, value }) => headerTexts(name, value)),
    ]
  },
}

function headerTexts(name: string, value: string): readonly string[] {
  return decodings(`${name}: ${value}`, 'text')
}

/** Sigma's taxonomy of web server logs (W3C extended log names), and spellings that rules use. */
const taxonomy: Readonly<Record<string, Field>> = {
  'cs-method': method,
  'cs-uri': uri,
  'c-uri': uri,
  'cs-uri-query': uriQuery,
  'c-uri-query': uriQuery,
  'cs-uri-stem': uriStem,
  'c-uri-stem': uriStem,
  'cs-version': version,
  'cs-user-agent': userAgent,
  'cs-useragent': userAgent,
  'c-useragent': userAgent,
  'cs-referer': referer,
  'cs-referrer': referer,
  'cs-host': host,
  'cs-cookie': header('cookie'),
  'cs-content-type': header('content-type'),
  'c-ip': address,
  labels,
}

/** What web servers log and AWS WAF, which stands before them and answers nothing, does not. */
const absent: readonly string[] = [
  'sc-status',
  'sc-substatus',
  'sc-win32-status',
  'sc-bytes',
  'cs-bytes',
  'time-taken',
  'cs-username',
  'c-port',
  's-ip',
  's-port',
  's-computername',
  's-sitename',
]

/** OCSF paths to texts as they stand in the request. */
const requestPaths: readonly string[] = [
  'http_request.url.path',
  'http_request.url.query_string',
  'http_request.referrer',
  'http_request.http_headers.name',
  'http_request.http_headers.value',
]

/** OCSF paths by their text. The closed set of the schema bounds it, but for `unmapped.*`. */
const native = new Map<string, Field>([
  [labels.name, labels],
  ['http_request.user_agent', userAgent],
  ['http_request.http_method', method],
  ['http_request.url.hostname', host],
  ['http_request.url.path', path],
  ['http_request.args', args],
  [ruleId.name, ruleId],
  [ruleType.name, ruleType],
  ['src_endpoint.ip', address],
])

type Resolved = Field | { readonly absent: string } | { readonly unknown: string }

/** A field by the name a rule gives it. Of web requests: Sigma's, or a dotted OCSF path. Of findings: an OCSF path. */
export function resolveField(name: string, log: LogKind = 'waf'): Resolved {
  return log === 'waf' ? webField(name) : resolveFindingField(name)
}

function webField(name: string): Resolved {
  const known = Object.hasOwn(taxonomy, name) ? taxonomy[name] : native.get(name)
  if (known) return known
  if (absent.includes(name)) return { absent: name }
  const path = parsePath(name, httpActivity)
  if ('error' in path) return { unknown: path.error }
  const { segments } = path
  const inRequest = requestPaths.includes(name)
  const made: Field = {
    name,
    clue: inRequest ? 'good' : 'poor',
    inRequest,
    withoutRequest: true,
    read: body => scalarsAt(body, segments),
  }
  native.set(name, made)
  return made
}

export function fieldNames(): { readonly known: readonly string[]; readonly absent: readonly string[] } {
  return { known: Object.keys(taxonomy), absent }
}

/** The values of a field by itself, from a request that is still JSON where that is possible. */
export function readFieldOf(field: Field, body: OcsfEvent): readonly string[] {
  const bytes = field.readBytes && !field.base ? LazyBody.behind(body)?.requestBytes() : undefined
  return bytes ? field.readBytes!(bytes, NONE) : readField(field, body)
}

/** The values of a field by itself. */
export function readField(each: Field, body: OcsfEvent): readonly string[] {
  return each.read(body, requestFor(each, body), each.base ? readField(each.base, body) : NONE)
}

const NO_REQUEST: HttpRequest = Object.freeze({})

/** `http_request`, for a field that looks at it: an address in each match had cost a request made of the record. */
export function requestFor({ withoutRequest }: Field, body: OcsfEvent): HttpRequest {
  return withoutRequest ? NO_REQUEST : (body.http_request ?? NO_REQUEST)
}
