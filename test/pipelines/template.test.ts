import { expect, test } from 'vitest'
import { expand, hasReference } from '../../pipelines/template.ts'

test('a set variable replaces its reference, wherever it stands in the text', () => {
  expect(expand('http://${HOST}:${PORT}/', { HOST: 'search', PORT: '9200' }, 'x.yaml:1:1')).toBe('http://search:9200/')
})

test('an unset or empty variable takes its default', () => {
  expect(expand('${A:-one} ${B:-two} ${C:-}', { B: '' }, 'x')).toBe('one two ')
})

test('an unset variable without a default is an error that names the place and the variable', () => {
  expect(() => expand('${OPENSEARCH_URL}', {}, 'waf.yaml:12:10')).toThrow(/waf\.yaml:12:10.*OPENSEARCH_URL/)
})

test('a value that looks like a reference is not expanded again', () => {
  expect(expand('${A}', { A: '${B}', B: 'secret' }, 'x')).toBe('${B}')
})

test('text without references stays as it is', () => {
  expect(hasReference('cost: $5 {a}')).toBe(false)
  expect(expand('cost: $5 {a}', {}, 'x')).toBe('cost: $5 {a}')
})
