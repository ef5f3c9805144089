import { expect, test } from 'vitest'
import { circlesOf } from './circles.ts'

test('each circle is found, whoever else leads into it', () => {
  const edges = new Map([
    ['a', ['b']],
    ['b', ['c', 'd']],
    ['c', ['a']],
    ['d', ['e']],
    ['e', ['d']],
    ['f', ['a', 'e']],
  ])
  expect(circlesOf(edges)).toEqual([
    ['d', 'e'],
    ['a', 'b', 'c'],
  ])
})

test('several ways to one node are no circle', () => {
  const edges = new Map([
    ['a', ['b', 'c']],
    ['b', ['d']],
    ['c', ['d']],
  ])
  expect(circlesOf(edges)).toEqual([])
})
