import { z } from 'zod'
import { coalesce } from '../engine/coalesce.ts'
import { type Deps, defineSink, type Sink } from '../engine/contract.ts'
import { type IndexTemplate, indexTemplate } from '../platform/ocsf/index-template.ts'
import { parsePath } from '../platform/ocsf/path.ts'
import type { Scalar } from '../platform/ocsf/schema.ts'
import { type SchemaName, schemaNames, schemas } from '../platform/ocsf/schemas.ts'
import { connectOpenSearch, openSearchFields } from '../platform/opensearch.ts'
import { ACTION_BYTES } from './opensearch/bulk.ts'
import { Places } from './opensearch/place.ts'
import { installTemplate, putTemplate, readTemplate, requireTemplate } from './opensearch/template.ts'
import { changeOf, type TemplateChange } from './opensearch/template-change.ts'
import { Writer } from './opensearch/writer.ts'

const MIB = 1024 * 1024

const texts: readonly Scalar[] = ['keyword', 'text']
const numbers: readonly Scalar[] = ['integer', 'long', 'time_ms']
const fieldPath = z.string().min(1).max(200).optional()

const config = z
  .strictObject({
    ...openSearchFields,
    index: z
      .string()
      .regex(/^[a-z0-9][a-z0-9_-]{0,99}$/, 'lower case letters, digits, - and _, at most 100')
      .default('haetae-waf')
      .describe('Indices are `<index>-YYYY.MM.DD` by event day, UTC'),
    schema: z.enum(schemaNames).default('http_activity').describe('The class of its events: the columns of the index'),
    idField: fieldPath.describe('Field that is the `_id` of a document; without it the id of the event'),
    versionField: fieldPath.describe(
      'For things that change: a number, and the state with the greatest stays; without it what came first',
    ),
    dayField: fieldPath.describe('Time in ms that decides the day of the index; without it the time of the event'),
    documentsMax: z.int().min(1).max(10_000).default(5_000).describe('Of one request'),
    bytesMax: z
      .int()
      .min(64 * 1024)
      .max(64 * MIB)
      .default(8 * MIB)
      .describe('Of one request, action lines included; Amazon OpenSearch Service takes 10 MiB on small instances'),
    waitMs: z.int().min(0).max(5_000).default(200).describe('How long the first record waits for a fuller request'),
    requestsMax: z
      .int()
      .min(1)
      .max(32)
      .default(4)
      .describe('Requests at once; the sink uses as many as the server takes well'),
    retentionDays: z
      .int()
      .min(1)
      .max(3_650)
      .default(30)
      .describe('Older events are not written, only counted: their index is gone or about to go; the lake has them'),
    shards: z.int().min(1).max(64).default(1).describe('Of each daily index'),
    replicasMax: z.int().min(0).max(5).default(1).describe('Copies of each shard, as far as there are nodes for them'),
    templates: z
      .enum(['install', 'by-command', 'unmanaged'])
      .default('install')
      .describe(
        'install: this sink puts the index template at start. by-command: it waits for `haetae opensearch apply`, and its role ' +
          'need only read templates. unmanaged: somebody else sees to it, nobody looks',
      ),
  })
  .superRefine(({ schema, idField, versionField, dayField }, context) => {
    const wanted = { idField: texts, versionField: numbers, dayField: numbers }
    for (const [key, path] of Object.entries({ idField, versionField, dayField })) {
      const message = path === undefined ? undefined : misnamed(path, schema, wanted[key as keyof typeof wanted])
      if (message !== undefined) context.addIssue({ code: 'custom', message, path: [key] })
    }
  })
type OpenSearchConfig = z.output<typeof config>

/** What is wrong with a field of the schema that must hold one of these. */
function misnamed(path: string, schema: SchemaName, wanted: readonly Scalar[]): string | undefined {
  const found = parsePath(path, schemas[schema])
  if ('error' in found) return found.error
  return wanted.some(each => each === found.scalar)
    ? undefined
    : `${path} is ${found.scalar}, not ${wanted.join(' or ')}`
}

export const opensearch = defineSink({
  type: 'opensearch',
  summary:
    'Writes events into daily OpenSearch indices, each once however often it comes, or the newest state of what changes.',
  config,
  example: `url: https://search.example:9200
auth: { username: haetae, password: { env: OPENSEARCH_PASSWORD } }
caFile: /etc/haetae/opensearch-ca.pem
requestMsMax: 30000
index: haetae-findings
schema: detection_finding
idField: metadata.uid
versionField: finding_info.modified_time
dayField: finding_info.created_time
documentsMax: 5000
bytesMax: 8388608
waitMs: 200
requestsMax: 4
retentionDays: 30
shards: 1
replicasMax: 1
templates: install`,
  open: openSink,
})

/** Rejects with SINK_UNAUTHORISED or SINK_MISCONFIGURED when a person must act, with another error when waiting may help. */
async function openSink(given: OpenSearchConfig, deps: Deps): Promise<Sink> {
  const server = connectOpenSearch(given, given.requestsMax)
  const places = new Places(given)
  try {
    warnOfPlainPassword(given, deps)
    const template = templateOf(given)
    if (given.templates === 'install') {
      await installTemplate(server, given.index, template, todayOf(given, places, deps.clock), deps.log)
    } else if (given.templates === 'by-command') await requireTemplate(server, given.index, template, deps.log)
  } catch (error) {
    await server.close()
    throw error
  }
  const writer = new Writer(server, given, places, deps)
  const { documentsMax, bytesMax, waitMs } = given
  // The coalescer counts documents only; what their action lines take is left free.
  const room = Math.max(bytesMax / 2, bytesMax - documentsMax * ACTION_BYTES)
  const { write, drain } = coalesce(
    { recordsMax: documentsMax, bytesMax: room, waitMs },
    (records, signal) => writer.write(records, signal),
    deps.clock,
  )
  return { write, drain, close: () => server.close() }
}

/**
 * What the index template of a sink of this configuration lacks in the cluster; with `apply` it is put there first. For the
 * command, whatever `templates` says. Throws as the sink does at start.
 */
export async function changeTemplate(
  given: unknown,
  apply: boolean,
  { clock, log }: Pick<Deps, 'clock' | 'log'>,
): Promise<TemplateChange> {
  const valid = config.parse(given)
  const server = connectOpenSearch(valid, 1)
  try {
    const state = await readTemplate(server, valid.index, templateOf(valid))
    const change = changeOf(state)
    if (apply && (change.action === 'create' || change.action === 'update')) {
      await putTemplate(server, state, todayOf(valid, new Places(valid), clock), log)
    }
    return change
  } finally {
    await server.close()
  }
}

function templateOf(given: OpenSearchConfig): IndexTemplate {
  return indexTemplate(schemas[given.schema], given)
}

function todayOf({ index }: OpenSearchConfig, places: Places, clock: Deps['clock']): string {
  return places.indexOf(clock.now()) ?? index
}

function warnOfPlainPassword({ url, auth }: OpenSearchConfig, deps: Deps): void {
  const { protocol, hostname } = new URL(url)
  if (!auth?.username || protocol === 'https:' || ['127.0.0.1', '[::1]', 'localhost'].includes(hostname)) return
  deps.log.warn('the password for OpenSearch crosses the network unencrypted: use an https url', { url })
}
