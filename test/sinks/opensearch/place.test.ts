import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Encoded } from '../../../engine/contract.ts'
import { detectionFinding } from '../../../platform/ocsf/finding-schema.ts'
import { indexTemplate } from '../../../platform/ocsf/index-template.ts'
import { opensearch } from '../../../sinks/opensearch.ts'
import { encodedOf, eventOf } from '../../support/deps.ts'
import { type FakeOpenSearch, startFakeOpenSearch } from '../../support/opensearch-server.ts'
import { DAY_MS, NOW_MS, never, openAgainst } from '../../support/opensearch-sink.ts'

let server: FakeOpenSearch
beforeEach(async () => {
  server = await startFakeOpenSearch()
})
afterEach(() => server.close())

const open = (config: object) =>
  openAgainst(server.url, { index: 'haetae-findings', schema: 'detection_finding', ...config })
const done = { retry: [], reject: [] }

/** A finding as a parse stage leaves it: its id comes of other things than its bytes. */
function finding(uid: unknown, more: object = {}, timeMs = NOW_MS): Encoded {
  const event = eventOf({ uid, ...more }, 'guardduty')
  event.timeMs = timeMs
  event.body = { class_uid: 2004, time: timeMs, metadata: { uid } as never, ...more }
  return encodedOf(event)
}

describe('what a document is called', () => {
  test('idField: the same state of a finding in other bytes is one document, an update is another', async () => {
    const { sink } = await open({ idField: 'metadata.uid' })
    expect(await sink.write([finding('state-1'), finding('state-1', { message: 'by another road' })], never)).toEqual(
      done,
    )
    expect(await sink.write([finding('state-2', { count: 9 })], never)).toEqual(done)
    expect([...server.documents.keys()]).toEqual([
      'haetae-findings-2026.11.24/state-1',
      'haetae-findings-2026.11.24/state-2',
    ])
  })

  test.each([
    ['no id at all', undefined, 'no_id'],
    ['an empty one', '', 'no_id'],
    ['one that is no text', 7, 'no_id'],
    ['one that OpenSearch refuses the whole request for', 'x'.repeat(513), 'id_too_long'],
  ])('%s is a dead letter, and its neighbours are written', async (_, uid, reason) => {
    const { sink } = await open({ idField: 'metadata.uid' })
    expect(await sink.write([finding('a'), finding(uid), finding('b')], never)).toEqual({
      retry: [],
      reject: [{ index: 1, reason }],
    })
    expect(server.documents.size).toBe(2)
  })
})

describe('things that change', () => {
  const config = { idField: 'metadata.uid', versionField: 'finding_info.modified_time' }
  const state = (version: unknown, message: string) =>
    finding('alert-1', { message, finding_info: { modified_time: version } })
  const stored = () => JSON.parse([...server.documents.values()][0]!) as { message: string }

  test.each([
    ['in order', [1, 2, 3]],
    ['out of order', [3, 1, 2]],
    ['repeated', [2, 3, 3, 1, 3]],
  ])('the greatest version stays, whatever the order: %s', async (_, versions) => {
    const { sink } = await open(config)
    for (const version of versions) {
      expect(await sink.write([state(version, `state ${version}`)], never)).toEqual(done)
    }
    expect(server.documents.size).toBe(1)
    expect(stored().message).toBe('state 3')
  })

  test('several states in one request too', async () => {
    const { sink, metric } = await open(config)
    expect(await sink.write([state(1, 'one'), state(5, 'five'), state(4, 'four')], never)).toEqual(done)
    expect(stored().message).toBe('five')
    expect(await metric('haetae_opensearch_documents_total{pipeline="test",result="exists"}')).toBe(1)
  })

  test('a state that OpenSearch puts off comes again and does not undo a newer one', async () => {
    const { sink } = await open(config)
    let busy = true
    server.item = ({ version }) => (version === 1 && busy ? { status: 429 } : undefined)
    expect((await sink.write([state(1, 'old'), state(2, 'new')], never)).retry).toEqual([0])
    busy = false
    expect(await sink.write([state(1, 'old')], never)).toEqual(done)
    expect(stored().message).toBe('new')
  })

  test.each([undefined, -1, 1.5, '7', 2 ** 60])('a version that is none is a dead letter: %s', async version => {
    const { sink } = await open(config)
    expect((await sink.write([state(version, 'x')], never)).reject).toEqual([{ index: 0, reason: 'no_version' }])
  })

  test('dayField: all states of one thing stand in the index of its first day', async () => {
    const { sink } = await open({ ...config, dayField: 'finding_info.created_time' })
    const at = (day: number, version: number) =>
      finding(
        'incident-1',
        { finding_info: { created_time: NOW_MS - DAY_MS, modified_time: version } },
        NOW_MS + day * DAY_MS,
      )
    expect(await sink.write([at(0, 1), at(1, 2)], never)).toEqual(done)
    expect([...server.documents.keys()]).toEqual(['haetae-findings-2026.11.23/incident-1'])
    const reject = [{ index: 0, reason: 'time_out_of_range: no day' }]
    expect(await sink.write([finding('incident-2')], never)).toEqual({ retry: [], reject })
  })
})

describe('configuration', () => {
  test('the template is that of the schema', async () => {
    await open({})
    const expected = indexTemplate(detectionFinding, { index: 'haetae-findings', shards: 1, replicasMax: 1 })
    expect(server.templates.get('haetae-findings')).toEqual(JSON.parse(JSON.stringify(expected)))
  })

  test.each([
    ['a field that no such event has', { idField: 'metadata.id' }, /no field id in metadata/],
    ['an id that is a number', { idField: 'time' }, /time is time_ms, not keyword or text/],
    ['a version that is a text', { versionField: 'metadata.uid' }, /metadata.uid is keyword/],
    ['a day in an object', { dayField: 'finding_info' }, /is an object/],
    ['a schema that there is not', { schema: 'alerts' }, /http_activity/],
  ])('%s is refused at load, by name', (_, config, message) => {
    const given = { url: 'https://search.example', schema: 'detection_finding', ...config }
    const result = opensearch.config.safeParse(given)
    expect(result.success).toBe(false)
    expect(result.error?.message).toMatch(message)
  })
})
