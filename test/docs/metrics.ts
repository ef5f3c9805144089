/** The table of docs/operations.md that is made from the metrics that the code defines. */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export interface DefinedMetric {
  readonly name: string
  readonly kind: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly labels: readonly string[]
  readonly file: string
}

/** What bounds the values of each label: a label that is not here is not to be used. */
export const labelBounds: Readonly<Record<string, string>> = {
  answer: 'what GeoIP can answer: five words',
  cause: 'closed set of the sink',
  component: 'components of the pipeline file',
  database: 'files of the stage `geoip`',
  detector: 'components of the pipeline file',
  group: 'consumer groups of the pipeline files',
  how: '`written` or `found`',
  intentional: '`true`',
  method: 'methods of the Slack API that the sink calls',
  outcome:
    '`durable`, or error names of the Kafka protocol; what came of a reload, a request to block, a call of Slack',
  place: 'scope and Region of the IP sets',
  pipeline: 'pipeline files of the process',
  reason: 'codes of dead letters, or error names of the Kafka protocol',
  result: 'closed set of the sink, HTTP status codes',
  route: 'the routes of the http source',
  rule: 'rules that run',
  sink: 'components of the pipeline file',
  stage: 'components of the pipeline file',
  state: 'closed set of the component',
  status: 'HTTP status codes the source answers with',
  seen: '`first` or `again`',
  topic: 'topics of the pipeline files',
  type: 'closed set: what a decision asks for',
  what: '`key_disabled`, `key_refused`, `key_failed`',
}

const BEGIN = '<!-- metrics: written by `npm run docs`, change the code and not this -->'
const END = '<!-- metrics: end -->'
const root = fileURLToPath(new URL('../../', import.meta.url))
const FOLDERS = ['platform', 'engine', 'sources', 'enrichers', 'detections', 'sinks', 'response', 'pipelines']
/** Where each family is explained: by the beginning of the name after `haetae_`. */
const families: readonly (readonly [title: string, pattern: RegExp])[] = [
  ['Topics and consumers', /^(topic|kafka)_/],
  ['Receiving', /^http_/],
  ['OpenSearch', /^opensearch_/],
  ['Lake', /^lake_/],
  ['Sink s3', /^archive_/],
  ['Incidents, blocks and Slack', /^(block|holds|waf|ip_set|keys|decisions|incident|incidents|slack)_/],
  ['Stages and detectors', /^(geoip|redact|dedupe|rule|rules|drop)_/],
  ['Pipelines and process', /^/],
]

/** The page with its generated part made anew. */
export function withMetrics(page: string): string {
  const from = page.indexOf(BEGIN)
  const to = page.indexOf(END)
  if (from < 0 || to < from) throw new Error('docs/operations.md has lost the marks of its generated part')
  return `${page.slice(0, from)}${BEGIN}\n\n${tables(definedMetrics())}\n\n${page.slice(to)}`
}

/** Of our own program, once each, by name. Throws when two places define one metric differently. */
export function definedMetrics(): readonly DefinedMetric[] {
  const found = new Map<string, DefinedMetric>()
  for (const file of programFiles()) {
    for (const metric of metricsIn(file, readFileSync(root + file, 'utf8'))) {
      const known = found.get(metric.name)
      if (known && shape(known) !== shape(metric)) {
        throw new Error(`${known.file} and ${file} define ${metric.name} differently`)
      }
      found.set(metric.name, metric)
    }
  }
  return [...found.values()].sort((a, b) => a.name.localeCompare(b.name))
}

export function programFiles(): readonly string[] {
  return FOLDERS.flatMap(folder =>
    readdirSync(root + folder, { recursive: true, encoding: 'utf8' })
      .filter(name => name.endsWith('.ts'))
      .map(name => `${folder}/${name}`),
  )
}

/** Each call `counter('haetae_…', 'help', …labels)`, on Metrics or on a function of the file that adds the pipeline. */
function metricsIn(file: string, text: string): DefinedMetric[] {
  const calls = [...text.matchAll(/(\.?)\b(counter|gauge|histogram)(?:<\w+>)?\(\s*'(haetae_\w+)'/g)]
  return calls.map(({ 0: start, 1: dot, 2: kind, 3: name, index }) => {
    const rest = text.slice(index + start.length, closing(text, index + start.indexOf('(')))
    const [help = '', ...labels] = [...rest.matchAll(/'((?:[^'\\]|\\.)*)'|"([^"]*)"/g)].map(([, a, b]) => a ?? b ?? '')
    const all = dot === '' ? ['pipeline', ...labels] : labels
    return { name: name!, kind: kind as DefinedMetric['kind'], help, labels: all, file }
  })
}

/** Where the parenthesis that opens at `from` is closed; text in quotes has none that count. */
function closing(text: string, from: number): number {
  let depth = 0
  for (const { 0: token, index } of text.slice(from).matchAll(/'(?:[^'\\]|\\.)*'|"[^"]*"|[()]/g)) {
    if (token === '(') depth++
    if (token === ')' && --depth === 0) return from + index
  }
  throw new Error('a call that does not end')
}

function shape({ kind, help, labels }: DefinedMetric): string {
  return JSON.stringify([kind, help, labels])
}

function tables(metrics: readonly DefinedMetric[]): string {
  const left = new Set(metrics)
  const parts = families.map(([title, pattern]) => {
    const own = [...left].filter(({ name }) => pattern.test(name.replace(/^haetae_/, '')))
    for (const metric of own) left.delete(metric)
    const rows = own.map(({ name, kind, help, labels }) => {
      const shown = labels.length === 0 ? '' : labels.map(label => `\`${label}\``).join(', ')
      return `| \`${name}\` | ${kind} | ${shown} | ${help.replaceAll('|', '\\|')} |`
    })
    return { title, rows }
  })
  const pick = (title: string): string[] => {
    const { rows } = parts.find(part => part.title === title)!
    return ['', `#### ${title}`, '', '| metric | kind | labels | means |', '| --- | --- | --- | --- |', ...rows]
  }
  const used = [...new Set(metrics.flatMap(({ labels }) => labels))].sort()
  const bounds = used.map(label => `| \`${label}\` | ${labelBounds[label] ?? ''} |`)
  const order = ['Pipelines and process', ...families.map(([title]) => title).slice(0, -1)]
  return [
    ...order.flatMap(pick),
    '',
    '#### What bounds a label',
    '',
    '| label | its values |',
    '| --- | --- |',
    ...bounds,
  ]
    .join('\n')
    .trim()
}
