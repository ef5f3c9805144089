import { expect, test } from 'vitest'
import type { Alert } from '../../engine/contract.ts'
import type { JsonObject } from '../../platform/ocsf/event.ts'
import { correlation, detected, detectorOf, pathRule, requestOf } from '../support/correlations.ts'

test('sample records are counted apart: what is made up never completes what is real', async () => {
  const detector = await detectorOf([pathRule('login'), correlation({ rules: ['login'], 'group-by': ['c-ip'] })])
  const events = await Promise.all([0, 1, 2, 3, 4].map(at => requestOf({ atMs: at * 1_000 })))
  for (const at of [0, 1, 3]) {
    const { metadata } = events[at]!.body
    events[at]!.body.metadata = { ...metadata!, labels: ['haetae:sample'] }
  }
  const isSample = ({ body }: Alert) => (body.unmapped!['haetae'] as JsonObject)['sample']
  const madeUp = detected(detector, events)
  expect(madeUp.map(isSample)).toEqual([true])
  const real = detected(detector, [await requestOf({ atMs: 5_000 })])
  expect(real.map(isSample)).toEqual([false])
  expect(real[0]!.id).not.toBe(madeUp[0]!.id)
})
