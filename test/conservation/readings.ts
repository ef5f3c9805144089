import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeDeadLetter } from '../../engine/dead-letter.ts'
import { recordId } from '../../engine/event.ts'
import { rowsByUid } from '../support/lake.ts'
import { options } from '../topics/support.ts'
import { type Facts, factsStored, type StoredEvent } from './records.ts'
import { haetae, type System, TOPIC } from './system.ts'

/** Everything that a round left behind, as the oracle read it. Ids are those of records (engine/event.ts recordId). */
export interface Readings {
  /** How often each record is in the topic. */
  readonly copies: ReadonlyMap<string, number>
  /** Documents by `_id`; one id may have several, in different indices. */
  readonly documents: ReadonlyMap<string, readonly Facts[]>
  /** What `haetae lake query` shows. */
  readonly rows: ReadonlyMap<string, readonly Facts[]>
  /** Rows of all objects, repeats among them. */
  readonly rawRows: ReadonlyMap<string, number>
  /** By pipeline and id: the bytes that are kept, and why. */
  readonly letters: ReadonlyMap<string, ReadonlyMap<string, Letter>>
  /** Documents that went to OpenSearch more than once. */
  readonly sentAgain: number
}
interface Letter {
  readonly raw: Buffer
  readonly reason: string
  /** How often it is in the dead letters of the pipeline. */
  readonly times: number
}

/** Reads when nothing moves any more: the members are stopped, the ways are free. */
export async function readAll(system: System): Promise<Readings> {
  const [copies, documents] = await Promise.all([readTopic(system), readOpenSearch(system)])
  return {
    copies,
    documents,
    rows: await readLake(system),
    rawRows: await readRawRows(system),
    letters: readLetters(system),
    sentAgain: system.wire.repeated,
  }
}

async function readTopic({ topics, firstOffsets }: System): Promise<ReadonlyMap<string, number>> {
  const ranges = (await topics.rangesOf([TOPIC])).filter(
    ({ partition, end }) => end > (firstOffsets.get(partition) ?? 0n),
  )
  const { group, ...rest } = options(TOPIC)
  for (const { partition } of ranges) {
    await topics.moveGroup(group, TOPIC, partition, firstOffsets.get(partition) ?? 0n)
  }
  const subscription = await topics.subscribe({ group, ...rest })
  const copies = new Map<string, number>()
  const left = new Map(ranges.map(({ partition, end }) => [partition, end]))
  while (left.size > 0) {
    const fetched = await subscription.poll(AbortSignal.timeout(60_000))
    if (!fetched) throw new Error('the topic could not be read to its end')
    for (const { value, offset } of fetched.records) {
      if (value) count(copies, recordId(value))
      if (offset + 1n >= (left.get(fetched.partition) ?? 0n)) left.delete(fetched.partition)
    }
  }
  await subscription.close()
  return copies
}

interface Page {
  readonly _scroll_id: string
  readonly hits: { readonly hits: readonly { readonly _id: string; readonly _source: StoredEvent }[] }
}

async function readOpenSearch({ servers }: System): Promise<ReadonlyMap<string, readonly Facts[]>> {
  const { url } = servers.search
  const ask = async (path: string, body: object): Promise<Page> => {
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
    if (!answer.ok) throw new Error(`OpenSearch answers ${answer.status}: ${await answer.text()}`)
    return (await answer.json()) as Page
  }
  await ask('/haetae-waf-*/_refresh', {})
  const documents = new Map<string, Facts[]>()
  const first = { size: 500, sort: ['_doc'], query: { match_all: {} } }
  let page = await ask('/haetae-waf-*/_search?scroll=1m', first)
  while (page.hits.hits.length > 0) {
    for (const { _id, _source } of page.hits.hits) add(documents, _id, factsStored(_source))
    page = await ask('/_search/scroll', { scroll: '1m', scroll_id: page._scroll_id })
  }
  return documents
}

const EVENTS = 'SELECT metadata, time, src_endpoint, http_request FROM http_activity'

/** By the command that people use. */
async function readLake({ servers, location }: System): Promise<ReadonlyMap<string, readonly Facts[]>> {
  const env = { ...servers.store.env, HAETAE_LAKE: location, HAETAE_DUCKDB_EXTENSIONS: servers.httpfs }
  const text = await haetae(['lake', 'query', EVENTS, '-o', 'ndjson'], env)
  const rows = new Map<string, Facts[]>()
  for (const line of text.split('\n').filter(Boolean)) {
    const event = JSON.parse(line) as StoredEvent & { readonly metadata: { readonly uid: string } }
    add(rows, event.metadata.uid, factsStored(event))
  }
  return rows
}

/** From the files themselves, without any help of Haetae's. */
function readRawRows({ servers, location }: System): Promise<ReadonlyMap<string, number>> {
  const prefix = location.slice(`s3://${servers.store.bucket}/`.length)
  return rowsByUid(join(servers.store.bucketFolder, prefix), 'metadata.uid')
}

function readLetters({ members }: System): ReadonlyMap<string, ReadonlyMap<string, Letter>> {
  const letters = new Map<string, Map<string, Letter>>()
  for (const { stateFolder, pipeline } of members) {
    const mine = letters.get(pipeline) ?? new Map<string, Letter>()
    letters.set(pipeline, mine)
    const folder = join(stateFolder, 'deadletter', pipeline)
    for (const file of existsSync(folder) ? readdirSync(folder) : []) {
      for (const line of readFileSync(join(folder, file), 'utf8').split('\n')) {
        const letter = decodeDeadLetter(line)
        if (letter) mine.set(letter.id, { ...letter, times: (mine.get(letter.id)?.times ?? 0) + 1 })
      }
    }
  }
  return letters
}

function count(times: Map<string, number>, id: string): void {
  times.set(id, (times.get(id) ?? 0) + 1)
}

function add(found: Map<string, Facts[]>, id: string, facts: Facts): void {
  const known = found.get(id)
  if (known) known.push(facts)
  else found.set(id, [facts])
}
