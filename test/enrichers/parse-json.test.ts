import { describe, expect, it } from 'vitest'
import { parseJson } from '../../enrichers/parse-json.ts'
import { FakeClock } from '../support/clock.ts'
import { eventOf, testDeps } from '../support/deps.ts'

const nowMs = Date.UTC(2026, 10, 24)
const stage = await parseJson.open({}, testDeps({ clock: new FakeClock(nowMs) }))

async function outcome(record: unknown): Promise<unknown> {
  const event = eventOf(record, 'alert')
  let refused: string | undefined
  const [parsed] = await stage.apply([event], (_, reason) => {
    refused = reason
  })
  return parsed ? { timeMs: parsed.timeMs, receivedMs: parsed.receivedMs, body: parsed.body } : refused
}

describe('parse-json', () => {
  it('gives the record as it is, with its own time, and leaves the time of its arrival', async () => {
    const record = { time: nowMs - 5_000, metadata: { uid: 'a' }, evidences: [{ uid: 'x' }] }
    expect(await outcome(record)).toEqual({ timeMs: nowMs - 5_000, receivedMs: nowMs, body: record })
  })

  it.each([
    ['no JSON', '{"time":', 'not_json'],
    ['no object', '[1]', 'not_haetae: no object'],
    ['no time', '{"uid":"a"}', 'not_haetae: no time'],
    ['a time as text', '{"time":"2026-11-24"}', 'not_haetae: no time'],
    ['a time before 2017', '{"time":0}', 'time_out_of_range: before 2017, or not in milliseconds'],
    ['a time more than a day ahead', `{"time":${nowMs + 86_400_001}}`, 'time_out_of_range: more than a day ahead'],
    [
      'more levels than anybody needs',
      `{"time":${nowMs},"a":${'['.repeat(70)}${']'.repeat(70)}}`,
      'too_deep: more than 64 levels',
    ],
  ])('refuses %s', async (_what, record, reason) => {
    expect(await outcome(record)).toMatch(new RegExp(`^${reason}`))
  })

  it('keeps keys that JavaScript would take for its own out of the body', async () => {
    const { body } = (await outcome(`{"time":${nowMs},"__proto__":{"x":1},"b":{"constructor":2}}`)) as { body: object }
    expect(body).toEqual({ time: nowMs, b: {} })
    expect(Object.getPrototypeOf(body)).toBe(Object.prototype)
  })
})
