import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Delivery } from '../../engine/contract.ts'
import { topic } from '../../sources/topic.ts'
import { FakeClock } from '../support/clock.ts'
import { testDeps } from '../support/deps.ts'
import { numbered, topicConfig } from '../topics/support.ts'
import { openTemporary } from '../topics/temporary.ts'

test('while the poison guard reads singly, a sink that settles only whole ranges still gets its range', async () => {
  const { topics } = await openTemporary()
  const config = topicConfig({ partitions: 1 })
  await topics.ensure(config)
  await topics.append(config.name, numbered(40))
  const clock = new FakeClock()
  const deps = testDeps({ topics: () => Promise.resolve(topics), clock })
  // What four deaths in a row leave behind: at most five records may be unsettled now.
  const folder = join(deps.stateFolder, 'attempts', `test-${config.name}`)
  mkdirSync(folder, { recursive: true })
  const left = { began: '0', readTo: '40', unsettled: '30', deaths: 4, alone: 0, singlyTo: '40', closed: false }
  writeFileSync(join(folder, '0.json'), JSON.stringify(left))
  const source = await topic.open(topic.config.parse({ topic: config.name, kind: 'waf' }), deps)
  const held: Delivery[] = []
  const { signal } = new AbortController()
  const reading = (async () => {
    while (held.length < 40) held.push((await source.read(signal))!)
  })()
  await clock.advance(1000)
  expect(held).toHaveLength(5)
  await clock.advance(60_000)
  await reading
  for (const { batch, ack } of held) {
    expect(batch).toHaveLength(1)
    ack()
  }
  await source.close()
  expect((await topics.lag()).map(({ committed }) => committed)).toEqual([40n])
  expect(deps.dead).toEqual([])
  await topics.close()
})
