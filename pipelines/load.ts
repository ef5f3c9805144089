import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import type { ZodType } from 'zod'
import { z } from 'zod'
import { detectors } from '../detections/index.ts'
import {
  type Detector,
  EVENT_BYTES_MAX,
  type Kind,
  kinds,
  type Sink,
  type Source,
  type Spec,
  type Stage,
} from '../engine/contract.ts'
import { stages } from '../enrichers/index.ts'
import { asError, HaetaeError } from '../platform/errors.ts'
import type { TopicConfig } from '../platform/topics/contract.ts'
import { responseSinks } from '../response/index.ts'
import { sinks as plainSinks } from '../sinks/index.ts'
import { sources } from '../sources/index.ts'
import { type Document, type Problem, problemsOf, readDocument } from './document.ts'
import { type PipelineTest, pipelineTest } from './pipeline-test.ts'

const MIB = 1024 * 1024
const sinks = [...plainSinks, ...responseSinks]

const component = z.looseObject({ type: z.string() })

/** A pipeline file. Component keys beside `type` belong to the component's own schema. */
export const pipelineFile = z.strictObject({
  pipeline: z.string().regex(/^[a-z][a-z0-9-]{0,39}$/, 'a lower-case name of letters, digits and hyphens'),
  description: z.string().optional(),
  requires: z.array(z.string()).default([]).describe('environment variables without which `haetae up` leaves it out'),
  source: component,
  stages: z.array(component).default([]),
  sinks: z.array(component).min(1),
  detectors: z.array(component).default([]).describe('see every event behind the stages, before it is redacted'),
  alertSinks: z.array(component).default([]).describe('where the alerts of the detectors go'),
  unredacted: z
    .boolean()
    .default(false)
    .describe('true lets secrets through to the sinks: only for a sink of your own'),
  deliveriesMax: z.int().min(1).max(1024).default(32),
  residentBytesMax: z
    .int()
    .min(EVENT_BYTES_MAX)
    .default(64 * MIB),
  deadLetterRetentionDays: z.int().min(1).default(30),
  // What one request may bring fits into an empty one, whatever becomes of it.
  deadLetterBytesMax: z
    .int()
    .min(256 * MIB)
    .default(1024 * MIB),
  tests: z.array(pipelineTest).default([]),
})

export interface Part<C> {
  readonly spec: Spec<ZodType, C>
  /** Output of the spec's schema: valid, defaults filled in. */
  readonly config: unknown
}

export interface PipelineConfig {
  readonly file: string
  readonly name: string
  readonly requires: readonly string[]
  readonly source: Part<Source>
  readonly stages: readonly Part<Stage>[]
  readonly sinks: readonly Part<Sink>[]
  readonly detectors: readonly Part<Detector>[]
  readonly alertSinks: readonly Part<Sink>[]
  readonly deliveriesMax: number
  readonly residentBytesMax: number
  readonly deadLetterRetentionDays: number
  readonly deadLetterBytesMax: number
  readonly tests: readonly PipelineTest[]
  /** What records it reads, for its tests. */
  readonly kind: Kind
}

/** The topics that some part of these pipelines writes, each once. */
export function writtenTopics(pipelines: readonly PipelineConfig[]): readonly TopicConfig[] {
  const written = pipelines
    .flatMap(({ source, sinks, detectors: some, alertSinks }) => [source, ...some, ...sinks, ...alertSinks])
    .flatMap(({ spec, config }) => spec.topicsWritten?.(config) ?? [])
  return [...new Map(written.map(config => [config.name, config])).values()]
}

/** Thrown with every problem of a file at once. */
export class ConfigError extends HaetaeError {
  readonly problems: readonly Problem[]
  constructor(problems: readonly Problem[]) {
    super('CONFIG_INVALID', problems.map(({ where, message }) => `${where}: ${message}`).join('\n'))
    this.problems = problems
  }
}

/** The variables a pipeline needs to be started by `haetae up`, read before anything is filled in. */
export function requirementsOf(file: string): readonly string[] {
  const document = readDocument(file, readText(file), undefined)
  const requires = z.looseObject({ requires: z.array(z.string()).default([]) }).safeParse(document.value)
  return requires.success ? requires.data.requires : []
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new HaetaeError('CONFIG_UNREADABLE', `${file}: ${asError(cause).message}`, { cause })
  }
}

/** Reads and checks a pipeline file without touching the network. Throws ConfigError or CONFIG_UNREADABLE. */
export function loadPipeline(file: string, env: NodeJS.ProcessEnv): PipelineConfig {
  return parsePipeline(file, readText(file), env)
}

export function parsePipeline(file: string, text: string, env: NodeJS.ProcessEnv): PipelineConfig {
  const document = readDocument(file, text, env)
  const problems = problemsOf(document, pipelineFile, document.value, [])
  if (problems.length > 0) throw new ConfigError(problems)
  const parsed = pipelineFile.parse(document.value)
  if (parsed.pipeline !== basename(file).replace(/\.ya?ml$/, '')) {
    problems.push({ where: document.locate(['pipeline']), message: 'the name must be that of the file' })
  }
  const source = part(document, sources, 'source', ['source'], parsed.source, problems)
  const stageParts = parsed.stages.map((each, at) => part(document, stages, 'stage', ['stages', at], each, problems))
  const sinkParts = parsed.sinks.map((each, at) => part(document, sinks, 'sink', ['sinks', at], each, problems))
  const detectorParts = parsed.detectors.map((each, at) =>
    part(document, detectors, 'detector', ['detectors', at], each, problems),
  )
  const alertParts = parsed.alertSinks.map((each, at) =>
    part(document, sinks, 'sink', ['alertSinks', at], each, problems),
  )
  problems.push(...detectionProblems(document, parsed))
  if (problems.length > 0 || !source) throw new ConfigError(problems)
  problems.push(...objectProblems(document, parsed, present(sinkParts)))
  const withRedact = redacted(document, present(stageParts), present(sinkParts), parsed.unredacted, problems)
  if (problems.length > 0) throw new ConfigError(problems)
  return {
    file,
    name: parsed.pipeline,
    requires: parsed.requires,
    source,
    stages: withRedact,
    sinks: present(sinkParts),
    detectors: present(detectorParts),
    alertSinks: present(alertParts),
    deliveriesMax: parsed.deliveriesMax,
    residentBytesMax: parsed.residentBytesMax,
    deadLetterRetentionDays: parsed.deadLetterRetentionDays,
    deadLetterBytesMax: parsed.deadLetterBytesMax,
    tests: parsed.tests,
    kind: kindOf(source.config),
  }
}

function part<C>(
  document: Document,
  specs: readonly Spec<ZodType, C>[],
  role: string,
  path: readonly PropertyKey[],
  given: { readonly type: string; readonly [key: string]: unknown },
  problems: Problem[],
): Part<C> | undefined {
  const { type, ...config } = given
  const spec = specs.find(each => each.type === type)
  if (!spec) {
    const known = specs.map(each => each.type).join(', ')
    problems.push({
      where: document.locate([...path, 'type']),
      message: `no ${role} is called "${type}"; there are: ${known}`,
    })
    return undefined
  }
  const found = problemsOf(document, spec.config, config, path)
  problems.push(...found)
  return found.length === 0 ? { spec, config: spec.config.parse(config) } : undefined
}

/** Detectors and alert sinks need one another, and events as they were received. */
function detectionProblems(
  document: Document,
  { stages: given, sinks: targets, detectors: some, alertSinks }: z.output<typeof pipelineFile>,
): readonly Problem[] {
  if (some.length === 0 && alertSinks.length === 0) return []
  const problem = (path: readonly PropertyKey[], message: string): Problem => ({
    where: document.locate(path),
    message,
  })
  if (alertSinks.length === 0) return [problem(['detectors'], 'their alerts go nowhere: name alertSinks')]
  if (some.length === 0) return [problem(['alertSinks'], 'nothing gives alerts: name detectors')]
  const redacting = given.findIndex(({ type }) => type === 'redact')
  if (redacting >= 0)
    return [
      problem(
        ['stages', redacting],
        'rules would not see what redact has replaced: detectors redact their alerts by themselves',
      ),
    ]
  const at = targets.findIndex(({ type }) => !RAW_SINKS.includes(type))
  if (at < 0) return []
  const message = `events go to ${targets[at]!.type} redacted, and detectors must see them before: use a pipeline of its own for it, and drop here`
  return [problem(['sinks', at], message)]
}

/** Sinks of large objects keep their place in the one note that a stream has, and `raw` takes what redaction never saw. */
function objectProblems(
  document: Document,
  { unredacted }: z.output<typeof pipelineFile>,
  parts: readonly Part<Sink>[],
): readonly Problem[] {
  const problem = (at: number, message: string): Problem => ({ where: document.locate(['sinks', at]), message })
  const problems: Problem[] = []
  const objects = parts.flatMap(({ spec }, at) => (['lake', 's3'].includes(spec.type) ? [at] : []))
  if (objects.length > 1)
    problems.push(
      problem(objects[1]!, 'one lake or s3 in a pipeline: each keeps its place beside the committed position'),
    )
  for (const [at, { spec, config }] of parts.entries()) {
    const isRaw = spec.type === 's3' && (config as { readonly format: string }).format === 'raw'
    if (isRaw && !unredacted)
      problems.push(problem(at, 'format: raw stores records with their secrets: say unredacted: true if that is meant'))
  }
  return problems
}

function present<T>(parts: readonly (T | undefined)[]): T[] {
  return parts.filter(each => each !== undefined)
}

/**
 * Sinks that keep the record as it was received, behind the key of the topics, or that act on it: the id of a leaked key must reach
 * who disables it. Alerts are redacted by their detector. Every other sink gets what passes redacted.
 */
const RAW_SINKS: readonly string[] = ['topic', 'drop', 'incidents', 'decide', 'blocks', 'keys']

/** `redact` comes last, after everything that must see the secrets; left out, it is added with its defaults. */
function redacted(
  document: Document,
  given: readonly Part<Stage>[],
  targets: readonly Part<Sink>[],
  unredacted: boolean,
  problems: Problem[],
): readonly Part<Stage>[] {
  const at = given.findIndex(({ spec }) => spec.type === 'redact')
  if (at >= 0) {
    if (at < given.length - 1) {
      const message = 'redact must be the last stage: a stage after it could bring a secret back, or miss what it needs'
      problems.push({ where: document.locate(['stages', at]), message })
    }
    return given
  }
  if (unredacted || targets.every(({ spec }) => RAW_SINKS.includes(spec.type))) return given
  const redact = stages.find(spec => spec.type === 'redact')
  if (!redact) throw new HaetaeError('CONFIG_INVALID', 'this build has no redact stage')
  return [...given, { spec: redact, config: redact.config.parse({}) }]
}

function kindOf(config: unknown): Kind {
  const kind = typeof config === 'object' && config !== null && 'kind' in config ? config.kind : undefined
  return kinds.find(each => each === kind) ?? 'waf'
}
