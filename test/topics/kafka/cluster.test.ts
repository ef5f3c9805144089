import { expect, test } from 'vitest'
import { Writer } from '../../../platform/topics/kafka/bytes.ts'
import { Cluster } from '../../../platform/topics/kafka/cluster.ts'
import type { Transport } from '../../../platform/topics/kafka/transport.ts'
import { FakeClock } from '../../support/clock.ts'

/** An answer to Metadata that names these brokers, and no topic. */
function named(ids: readonly number[]): Buffer {
  const to = new Writer()
  to.int32(0).array(ids, id => to.int32(id).string(`broker-${id}`).int32(9092).string(null))
  to.string(null)
    .int32(ids[0]!)
    .array([], () => undefined)
  return to.done()
}

test('a broker that the cluster does not name any more is not asked, and is again once it is back', async () => {
  let ids: readonly number[] = [1, 2, 3]
  const transport: Transport = {
    connect: () =>
      Promise.resolve({ open: true, request: () => Promise.resolve(named(ids)), close: () => Promise.resolve() }),
  }
  const cluster = new Cluster({ transport, brokers: [{ host: 'boot', port: 9092 }], clock: new FakeClock() })
  const seen: (readonly number[])[] = []
  for (ids of [
    [1, 2, 3],
    [1, 3],
    [3, 4],
    [1, 2, 3],
  ]) {
    await cluster.refresh([])
    seen.push(cluster.brokerIds)
  }
  expect(seen).toEqual([
    [1, 2, 3],
    [1, 3],
    [3, 4],
    [1, 2, 3],
  ])
  await cluster.close()
})
