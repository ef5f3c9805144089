import type { HttpRequest, OcsfEvent } from '../../platform/ocsf/event.ts'
import { parsePath, someValue } from '../../platform/ocsf/path.ts'
import { httpActivity } from '../../platform/ocsf/schema.ts'
import { decodings } from './decode.ts'

/** What a rule can look at. One object for all names of one thing, so that it is read once an event. */
export interface Field {
  readonly name: string
  /** What a text in it says about a request: much, little (it has few values), or much at a price (headers are read and searched). */
  readonly clue: Clue
  /** Its values, with what URL encoding hides where that is usual; none when the event has not the field. */
  read(body: OcsfEvent, request: HttpRequest): readonly string[]
}

const NONE: readonly string[] = []
const one = (value: string | undefined): readonly string[] => (value === undefined ? NONE : [value])

export type Clue = 'good' | 'poor' | 'dear'

function field(name: string, clue: Clue, read: Field['read']): Field {
  return { name, clue, read }
}

/** Path and query as they stand in the request line: most SigmaHQ rules name a path in cs-uri-query. */
function target({ url, args }: HttpRequest): string | undefined {
  if (url?.path === undefined) return undefined
  return args === undefined || args === '' ? url.path : `${url.path}?${args}`
}

const uri = field('cs-uri', 'good', (_body, request) => {
  const text = target(request)
  return text === undefined ? NONE : decodings(text, 'url')
})
/** The query alone too, for rules that say how it begins. */
const uriQuery = field('cs-uri-query', 'good', (body, request) => {
  const whole = uri.read(body, request)
  return request.args === undefined || request.args === '' ? whole : [...whole, ...decodings(request.args, 'query')]
})
const uriStem = field('cs-uri-stem', 'good', (_body, { url }) =>
  url?.path === undefined ? NONE : decodings(url.path, 'text'),
)
const method = field('cs-method', 'poor', (_body, request) => one(request.http_method))
const version = field('cs-version', 'poor', (_body, request) => one(request.version))
const userAgent = field('cs-user-agent', 'good', (_body, request) => one(request.user_agent))
const referer = field('cs-referer', 'good', (_body, request) =>
  request.referrer === undefined ? NONE : decodings(request.referrer, 'url'),
)
const host = field('cs-host', 'good', (_body, { url }) => one(url?.hostname))
const address = field('c-ip', 'poor', body => one(body.src_endpoint?.ip))
const labels = field('metadata.labels', 'poor', body => body.metadata?.labels ?? NONE)

/** Every value of a header. */
function header(name: string): Field {
  return field(`header ${name}`, 'dear', (_body, { http_headers = [] }) =>
    http_headers.filter(each => each.name.toLowerCase() === name).flatMap(({ value }) => decodings(value, 'text')),
  )
}

/** What a keyword is searched in: the request line, its parts decoded, and every header as it is written. */
export const keywords = field('keywords', 'dear', (body, request) => {
  const line = uri.read(body, request)
  const texts = line.map(text => `${request.http_method ?? '-'} ${text}`)
  for (const { name, value } of request.http_headers ?? []) {
    const written = `${name}: ${value}`
    if (value.includes('%')) texts.push(...decodings(written, 'text'))
    else texts.push(written)
  }
  return texts
})

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

/** OCSF paths by their text. The closed set of the schema bounds it, but for `unmapped.*`. */
const native = new Map<string, Field>([
  [labels.name, labels],
  ['http_request.user_agent', userAgent],
  ['http_request.http_method', method],
  ['http_request.url.hostname', host],
  ['src_endpoint.ip', address],
])

/** A field by the name a rule gives it: Sigma's, or a dotted OCSF path. */
export function resolveField(name: string): Field | { readonly absent: string } | { readonly unknown: string } {
  const known = Object.hasOwn(taxonomy, name) ? taxonomy[name] : native.get(name)
  if (known) return known
  if (absent.includes(name)) return { absent: name }
  const path = parsePath(name, httpActivity)
  if ('error' in path) return { unknown: path.error }
  const { segments } = path
  const made = field(name, name.startsWith('http_request.http_headers') ? 'dear' : 'poor', body => {
    const values: string[] = []
    someValue(body, segments, value => {
      if (typeof value !== 'object') values.push(String(value))
      return false
    })
    return values
  })
  native.set(name, made)
  return made
}

export function fieldNames(): { readonly known: readonly string[]; readonly absent: readonly string[] } {
  return { known: Object.keys(taxonomy), absent }
}
