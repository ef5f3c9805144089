import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { drop } from '../../sinks/drop.ts'
import { testDeps } from '../support/deps.ts'
import { never, records } from '../support/opensearch-sink.ts'

test('the example uses each key', () => {
  const given = parse(drop.example) as object
  expect(drop.config.parse(given)).toEqual(given)
  expect(Object.keys(given)).toEqual(Object.keys(drop.config.shape))
})

test('every event is accepted, forgotten and counted with its bytes', async () => {
  const deps = testDeps()
  const sink = await drop.open(drop.config.parse({}), deps)
  const batch = records(3)
  expect(await sink.write(batch, never)).toEqual({ retry: [], reject: [] })
  expect(await sink.write(records(2, 3), never)).toEqual({ retry: [], reject: [] })
  const text = await deps.metrics.expose()
  expect(text).toContain('haetae_drop_events_total{pipeline="test"} 5')
  const bytes = [...batch, ...records(2, 3)].reduce((sum, { json }) => sum + json.length, 0)
  expect(text).toContain(`haetae_drop_bytes_total{pipeline="test"} ${bytes}`)
  await sink.close()
})

test.each([
  [true, 'json'],
  [false, 'raw'],
])('encode: %s makes the engine serialise or not', async (encode, wants) => {
  expect((await drop.open(drop.config.parse({ encode }), testDeps())).wants).toBe(wants)
})
