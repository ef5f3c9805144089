import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { groupFieldNames } from '../../detections/sigma/correlate/group.ts'
import { fieldNames } from '../../detections/sigma/fields.ts'
import { modifierNames } from '../../detections/sigma/modifiers.ts'
import { readRules, together } from '../../detections/sigma/read.ts'
import { defineSink } from '../../engine/contract.ts'
import { parsePipeline, pipelineFile } from '../../pipelines/load.ts'
import { runRuleTests } from '../../pipelines/rule-tests.ts'
import { runPipelineTests } from '../../pipelines/tests.ts'
import { schemaOf } from '../support/components.ts'
import { testDeps } from '../support/deps.ts'
import { componentsPage } from './components.ts'
import { withRules } from './detections.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const read = (path: string): string => readFileSync(root + path, 'utf8')

describe('docs/components.md', () => {
  test('is what the components say', () => {
    const fresh = read('docs/components.md') === componentsPage()
    expect(fresh, 'docs/components.md is stale: run `npm run docs` and commit it').toBe(true)
  })

  test('shows type, default, bound and description of a key, and keys inside it', () => {
    const spec = defineSink({
      type: 'sample',
      summary: 'Shows a row of each sort.',
      config: z.strictObject({
        count: z.int().min(1).max(9).default(3).describe('How many | at most'),
        name: z.string().min(1),
        mode: z.enum(['a', 'b']).optional(),
        inner: z.strictObject({ waitMs: z.number().positive() }).optional(),
        names: z.array(z.string()).max(4).default([]),
      }),
      example: 'name: x\n',
      open: () => Promise.reject(new Error('never opened')),
    })
    const page = componentsPage([{ title: 'Sinks', folder: 'sinks', specs: [spec] }])
    const rows = page.split('\n').filter(line => line.startsWith('| `'))
    expect(rows).toEqual([
      '| `count` | integer | `3` | 1 – 9 | How many \\| at most |',
      '| `name` | string | required |  |  |',
      '| `mode` | `a` or `b` | – |  |  |',
      '| `inner` | object | – |  |  |',
      '| `inner.waitMs` | number | required | > 0 |  |',
      '| `names` | list of string | `[]` | ≤ 4 items |  |',
    ])
    expect(page).toContain('- Sinks: [sample](#sample-sink)\n')
    expect(page).toContain('### sample (sink)\n\nShows a row of each sort.\n')
    expect(page).toContain('```yaml\ntype: sample\nname: x\n```')
  })
})

describe('docs/detections.md', () => {
  test('lists the rules as they are', async () => {
    const page = read('docs/detections.md')
    const fresh = page === (await withRules(page))
    expect(fresh, 'docs/detections.md is stale: run `npm run docs` and commit it').toBe(true)
  })

  test('shows a rule and a correlation that run and whose tests pass', async () => {
    const page = read('docs/detections.md')
    const texts = [...page.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, yaml]) => yaml!)
    const set = together(texts.map(text => readRules('docs.yml', text)))
    expect(set.refused).toEqual([])
    const results = await runRuleTests(set, testDeps())
    expect(results.map(({ failure }) => failure)).toEqual([undefined, undefined, undefined, undefined])
    expect(groupFieldNames.filter(name => !page.includes(`\`${name}\``))).toEqual([])
  })

  test('names every field and modifier there is', () => {
    const page = read('docs/detections.md')
    const { runs } = modifierNames()
    const fields = fieldNames().known.filter(name => /^(cs-[a-z-]+|c-ip|labels)$/.test(name))
    const unnamed = [...runs, ...fields].filter(name => !page.includes(`\`${name}\``))
    expect(unnamed).toEqual(['cs-useragent', 'cs-referrer'])
  })
})

describe('docs/configuration.md', () => {
  const page = (): string => read('docs/configuration.md')

  test('explains every variable that code or a pipeline file names, and no other', () => {
    const used = new Set(sources().flatMap(path => namesIn(read(path))))
    const explained = new Set([...page().matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, name]) => name!))
    expect([...explained].sort()).toEqual([...used].sort())
  })

  test('gives the defaults that the pipeline files give', () => {
    const rows = new Map([...page().matchAll(/^\| `([A-Z_]+)` \| ([^|]*) \|/gm)].map(([, name, text]) => [name, text]))
    const given = sources().flatMap(path => [...read(path).matchAll(/: \$\{([A-Z_]+):-([^}]+)\}/g)])
    expect(given.length).toBeGreaterThan(0)
    for (const [, name, value] of given) expect(rows.get(name), name).toBe(`\`${value}\``)
  })

  test('shows a pipeline that loads and a test that passes', async () => {
    const [pipeline, , given] = [...page().matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text]) => text!)
    const config = parsePipeline('waf.yaml', `${pipeline}${given}`, { OPENSEARCH_URL: 'http://not-set.invalid' })
    expect(config.stages.map(({ spec }) => spec.type)).toEqual(['parse-waf', 'geoip', 'redact'])
    const results = await runPipelineTests(config, testDeps())
    expect(results.map(({ failures }) => failures)).toEqual([[]])
  })

  test('explains every key of a pipeline file with its default, and no other', () => {
    const { properties = {} } = schemaOf({ config: pipelineFile })
    const table = page().slice(page().indexOf('## A pipeline file'), page().indexOf('## Tests inside'))
    const rows = [...table.matchAll(/^\| `([A-Za-z]+)` \| ([^|]*) \|/gm)]
    const shown = Object.fromEntries(rows.map(([, key, text]) => [key, text!.replaceAll('`', '').trim()]))
    const wanted = Object.entries(properties).map(([key, schema]) => {
      const required = key === 'pipeline' || key === 'source' || key === 'sinks'
      return [key, required ? 'required' : schema.default === undefined ? '–' : JSON.stringify(schema.default)]
    })
    expect(shown).toEqual(Object.fromEntries(wanted))
  })
})

test('every fixed bound on the page is the constant it names', async () => {
  const rows = [
    ...read('docs/configuration.md').matchAll(/^\| [^|]+ \| ([^|]+) \| [^|]+ \| `([^`]+)` `([A-Z_]+)` \|$/gm),
  ]
  expect(rows.length).toBeGreaterThan(10)
  for (const [, bound, path, name] of rows) {
    const text = new RegExp(`const ${name} = ([0-9_* ]+)$`, 'm').exec(read(path!))?.[1]
    expect(text, `${path} ${name}`).toBeDefined()
    const value = text!.split('*').reduce((product, factor) => product * Number(factor.replaceAll('_', '')), 1)
    expect(bytesOf(bound!), `${path} ${name}`).toBe(value)
  }
})

/** `64 KiB`, `1 MiB`, `10,000` or `500 events`. */
function bytesOf(text: string): number {
  const unit = { KiB: 1024, MiB: 1024 ** 2 }[/[KM]iB/.exec(text)?.[0] ?? ''] ?? 1
  return Number.parseInt(text.replaceAll(',', ''), 10) * unit
}

/** Our own program: TypeScript and YAML of every folder that runs. */
function sources(): string[] {
  return ['platform', 'engine', 'sources', 'enrichers', 'sinks', 'pipelines'].flatMap(folder =>
    readdirSync(root + folder, { recursive: true, encoding: 'utf8' })
      .filter(name => /\.(ts|yaml|mjs)$/.test(name))
      .map(name => `${folder}/${name}`),
  )
}

function namesIn(text: string): string[] {
  return [...text.matchAll(/\b(?:HAETAE|OPENSEARCH)_[A-Z_]*[A-Z]\b/g)].map(([name]) => name)
}
