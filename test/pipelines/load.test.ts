import { readFileSync, writeFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { stages } from '../../enrichers/index.ts'
import { shippedPipelines } from '../../pipelines/files.ts'
import { ConfigError, loadPipeline, parsePipeline, requirementsOf, writtenTopics } from '../../pipelines/load.ts'
import { pipelineVariables, readSettings } from '../../pipelines/settings.ts'
import { hasCode } from '../../platform/errors.ts'
import { sinks } from '../../sinks/index.ts'
import { sources } from '../../sources/index.ts'
import { temporary } from '../support/pipelines.ts'

afterEach(() => vi.restoreAllMocks())

const SOURCE = 'source: { type: topic, topic: events.waf, kind: waf }'
const DROP = 'sinks: [{ type: drop }]'
const FILE = 'sinks: [{ type: file, path: /tmp/x.ndjson }]'

const load = (text: string, env: NodeJS.ProcessEnv = {}) => parsePipeline('a.yaml', text, env)
const stagesOf = (text: string): string[] => load(text).stages.map(({ spec }) => spec.type)

/** `where: message` of every problem. */
function problems(text: string): string[] {
  try {
    load(text)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    expect(hasCode(error, 'CONFIG_INVALID')).toBe(true)
    return error.problems.map(({ where, message }) => `${where}: ${message}`)
  }
  return []
}

describe('every pipeline that comes with Haetae', () => {
  const variables = pipelineVariables(readSettings({}), {})

  test.each(shippedPipelines())(
    '%s loads, with stand-ins for what it requires, and redacts unless it feeds topics',
    file => {
      const stand = Object.fromEntries(requirementsOf(file).map(name => [name, 'http://not-set.invalid']))
      const pipeline = loadPipeline(file, { ...variables, ...stand })
      const raw = pipeline.sinks.every(({ spec }) => spec.type === 'topic' || spec.type === 'drop')
      expect(pipeline.stages.at(-1)?.spec.type === 'redact').toBe(!raw)
    },
  )

  test('opens nothing and touches no network', () => {
    const opens = [...sources, ...stages, ...sinks].map(spec => vi.spyOn(spec, 'open'))
    const connect = vi.spyOn(Socket.prototype, 'connect')
    for (const file of shippedPipelines()) {
      loadPipeline(file, { ...variables, OPENSEARCH_URL: 'http://not-set.invalid' })
    }
    for (const open of opens) expect(open).not.toHaveBeenCalled()
    expect(connect).not.toHaveBeenCalled()
  })

  test('the ones for OpenSearch say that they require its address', () => {
    const requiring = shippedPipelines().filter(file => /type: opensearch/.test(readFileSync(file, 'utf8')))
    expect(requiring.length).toBeGreaterThan(0)
    for (const file of requiring) expect(requirementsOf(file)).toContain('OPENSEARCH_URL')
  })
})

describe('what is wrong, and where', () => {
  test('an unknown key of the file: its place and the keys that are allowed', () => {
    const [problem] = problems(`pipeline: a\n${SOURCE}\n${DROP}\nsink: x\n`)
    expect(problem).toMatch(/^a\.yaml:4:1: unknown key "sink"; allowed here: pipeline, description, requires, source/)
  })

  test('an unknown key of a component: its place and the keys of that component', () => {
    const text = `pipeline: a\nsource:\n  type: topic\n  topic: t\n  kind: waf\n  grup: x\n${DROP}\n`
    expect(problems(text)).toEqual([
      'a.yaml:6:3: unknown key "grup"; allowed here: topic, kind, also, group, from, commitMs, state, snapshotMs, deathsMax, recordsMax, bytesMax',
    ])
  })

  test.each([
    ['source', `source: { type: tpic }\n${DROP}`, sources],
    ['stage', `${SOURCE}\n${DROP}\nstages: [{ type: tpic }]`, stages],
    ['sink', `${SOURCE}\nsinks: [{ type: tpic }]`, sinks],
  ])('an unknown %s: its place and the ones there are', (role, text, specs) => {
    const known = specs.map(({ type }) => type).join(', ')
    const [problem, ...more] = problems(`pipeline: a\n${text}\n`)
    expect(problem).toMatch(/^a\.yaml:\d+:\d+: /)
    expect(problem).toContain(`no ${role} is called "tpic"; there are: ${known}`)
    expect(more).toEqual([])
  })

  test('several at once, each with its own line', () => {
    const text = `pipeline: b\nsource:\n  type: topic\n  topic: t\n  kind: wav\nstages:\n  - type: nothing\n  - type: key\n    x: 1\nsinks:\n  - type: drop\n    encode: perhaps\n`
    const lines = problems(text).map(problem => /^a\.yaml:(\d+):/.exec(problem)?.[1])
    expect(lines).toEqual(['1', '5', '7', '9', '12'])
  })

  test('a name that is not that of the file', () => {
    expect(problems(`pipeline: b\n${SOURCE}\n${DROP}\n`)).toEqual(['a.yaml:1:11: the name must be that of the file'])
  })

  test('a name that could leave its folder', () => {
    for (const name of ['../a', 'A', 'a/b', '1a', "''"]) {
      expect(problems(`pipeline: ${name}\n${SOURCE}\n${DROP}\n`)[0]).toMatch(/^a\.yaml:1:11: pipeline: /)
    }
  })

  test('a rule over several keys of a component: the place of the key it names', () => {
    const http = 'source:\n  type: http\n  accessKey: { env: K }\n  inflightBytesMax: 4096\n'
    expect(problems(`pipeline: a\n${http}${DROP}\n`)[0]).toMatch(/^a\.yaml:5:21: inflightBytesMax: /)
  })

  test('a secret that is written out', () => {
    const http = 'source:\n  type: http\n  accessKey: hunter2\n'
    const [problem] = problems(`pipeline: a\n${http}${DROP}\n`)
    expect(problem).toMatch(/^a\.yaml:4:14: accessKey: /)
    expect(problem).not.toContain('hunter2')
  })

  test.each([
    ['an empty file', ''],
    ['a list', '- a\n'],
    ['a text', 'hello\n'],
    ['no sinks', `pipeline: a\n${SOURCE}\n`],
    ['an empty list of sinks', `pipeline: a\n${SOURCE}\nsinks: []\n`],
    ['a component without a type', `pipeline: a\n${SOURCE}\nsinks: [{ path: x }]\n`],
  ])('%s', (_, text) => {
    expect(problems(text)[0]).toMatch(/^a\.yaml:\d+:\d+: /)
  })

  test('a file that is not there', () => {
    expect(() => loadPipeline(join(temporary(), 'none.yaml'), {})).toThrow(
      expect.objectContaining({ code: 'CONFIG_UNREADABLE', message: expect.stringContaining('none.yaml') as string }),
    )
  })

  test('a variable that is not set: its name and its place', () => {
    expect(() => load(`pipeline: a\n${SOURCE}\nsinks: [{ type: file, path: "\${NOWHERE}" }]\n`)).toThrow(
      /a\.yaml:3:29: the environment variable NOWHERE is not set/,
    )
  })

  test('what a pipeline requires is known although nothing is set', () => {
    const file = join(temporary(), 'a.yaml')
    writeFileSync(file, `pipeline: a\nrequires: [A, B]\n${SOURCE}\nsinks: [{ type: file, path: "\${A}" }]\n`)
    expect(requirementsOf(file)).toEqual(['A', 'B'])
  })
})

describe('redact', () => {
  test('is added last, with its defaults, when it is left out', () => {
    const { stages: given } = load(`pipeline: a\n${SOURCE}\nstages: [{ type: parse-waf }]\n${FILE}\n`)
    expect(given.map(({ spec }) => spec.type)).toEqual(['parse-waf', 'redact'])
    expect(given[1]!.config).toEqual(given[1]!.spec.config.parse({}))
  })

  test('is added to a pipeline without stages, too', () => {
    expect(stagesOf(`pipeline: a\n${SOURCE}\n${FILE}\n`)).toEqual(['redact'])
  })

  test('stays where it is when it is last', () => {
    expect(stagesOf(`pipeline: a\n${SOURCE}\nstages: [{ type: parse-waf }, { type: redact }]\n${FILE}\n`)).toEqual([
      'parse-waf',
      'redact',
    ])
  })

  test.each(['{ type: redact }, { type: geoip }', '{ type: redact }, { type: redact }'])(
    'is refused before another stage: %s',
    given => {
      const [problem, ...more] = problems(`pipeline: a\n${SOURCE}\nstages: [${given}]\n${FILE}\n`)
      expect(problem).toMatch(/^a\.yaml:3:10: redact must be the last stage/)
      expect(more).toEqual([])
    },
  )

  test('is left out only where `unredacted` asks for it, or nothing but topics and drop follows', () => {
    expect(stagesOf(`pipeline: a\n${SOURCE}\nunredacted: true\n${FILE}\n`)).toEqual([])
    expect(stagesOf(`pipeline: a\n${SOURCE}\n${DROP}\n`)).toEqual([])
    expect(stagesOf(`pipeline: a\n${SOURCE}\nsinks: [{ type: topic }]\n`)).toEqual([])
    expect(stagesOf(`pipeline: a\n${SOURCE}\nsinks: [{ type: topic }, { type: stdout }]\n`)).toEqual(['redact'])
  })
})

test('defaults are filled in, and the kind of the source is the one its tests use', () => {
  const pipeline = load(`pipeline: a\nsource: { type: topic, topic: t, kind: falco }\n${DROP}\n`)
  expect(pipeline).toMatchObject({
    name: 'a',
    requires: [],
    deliveriesMax: 32,
    residentBytesMax: 64 * 1024 * 1024,
    deadLetterRetentionDays: 30,
    deadLetterBytesMax: 1024 ** 3,
    tests: [],
    kind: 'falco',
  })
  expect(pipeline.sinks[0]?.config).toEqual({ encode: true })
})

describe('detectors', () => {
  const SIGMA = 'detectors: [{ type: sigma }]'
  const ALERTS = 'alertSinks: [{ type: topic, topic: alerts }]'

  test('are loaded with the sinks of their alerts, whose topics are made', () => {
    const pipeline = load(`pipeline: a\n${SOURCE}\n${DROP}\n${SIGMA}\n${ALERTS}\n`)
    expect(pipeline.detectors.map(({ spec }) => spec.type)).toEqual(['sigma'])
    expect(pipeline.alertSinks.map(({ spec }) => spec.type)).toEqual(['topic'])
    expect(writtenTopics([pipeline]).map(({ name }) => name)).toEqual(['alerts'])
  })

  test.each([
    ['without a sink for their alerts', `${DROP}\n${SIGMA}`, /^a\.yaml:4:\d+: their alerts go nowhere/],
    ['sinks for alerts without them', `${DROP}\n${ALERTS}`, /^a\.yaml:4:\d+: nothing gives alerts/],
    ['behind redact', `stages: [{ type: redact }]\n${DROP}\n${SIGMA}\n${ALERTS}`, /rules would not see/],
    ['beside a sink that wants redacted events', `${FILE}\n${SIGMA}\n${ALERTS}`, /detectors must see them before/],
    ['of an unknown type', `${DROP}\ndetectors: [{ type: sigmar }]\n${ALERTS}`, /no detector is called "sigmar"/],
  ])('are refused %s', (_what, text, message) => {
    expect(problems(`pipeline: a\n${SOURCE}\n${text}\n`)).toEqual([expect.stringMatching(message)])
  })
})
