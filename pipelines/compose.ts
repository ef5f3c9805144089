import type { ZodType } from 'zod'
import type { Deps, Detector, Positions, Sink, Source, Spec, Stage } from '../engine/contract.ts'
import { reasonCode } from '../engine/measures.ts'
import type { NamedDetector, NamedSink, Plan } from '../engine/pipeline.ts'
import type { NamedStage } from '../engine/stages.ts'
import { writeDeadLetters } from '../engine/write.ts'
import { writeBackoff } from '../platform/backoff.ts'
import { HaetaeError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import type { Part, PipelineConfig } from './load.ts'
import { openOrWait, Stopped } from './open-or-wait.ts'
import { openState, type PipelineState } from './pipeline-state.ts'
import type { Runtime } from './runtime.ts'

/** A pipeline with every component open. */
export interface OpenPipeline {
  readonly plan: Plan
  /** To be called after run() returned: closes what the engine does not. */
  readonly close: () => Promise<void>
}

/**
 * Opens source, stages and sinks, in this order; a destination that is not there yet is waited for. Undefined when `signal` aborted
 * before all were open: then what was open is closed. Rejects with what no waiting can mend.
 */
export async function openPipeline(
  config: PipelineConfig,
  runtime: Runtime,
  signal: AbortSignal,
  observers: readonly NamedSink[] = [],
): Promise<OpenPipeline | undefined> {
  const log = runtime.log.child({ pipeline: config.name })
  const state = openState(config, runtime, log)
  const deps = depsOf(config, runtime, log, state, signal)
  const opened: (Source | Stage | Sink)[] = []
  const open = async <C extends Source | Stage | Sink | Detector>(
    { spec, config: given }: Part<C>,
    own: Deps,
  ): Promise<C> => {
    const component = await openOrWait(() => spec.open(given, own), spec.type, own, signal)
    if (!('detect' in component)) opened.push(component)
    return component
  }
  const openSinks = async (parts: readonly Part<Sink>[], own: Deps): Promise<NamedSink[]> => {
    const named: NamedSink[] = []
    for (const each of parts) named.push({ name: each.spec.type, sink: await open(each, own) })
    return named
  }
  try {
    const source = await open(config.source, deps)
    // Stages too: dedupe forgets a stream that was revoked.
    const behindSource = { ...deps, positions: source.positions ?? deps.positions }
    const stages: NamedStage[] = []
    for (const each of config.stages) stages.push({ name: each.spec.type, stage: await open(each, behindSource) })
    const detectors: NamedDetector[] = []
    for (const each of config.detectors) {
      detectors.push({ name: each.spec.type, detector: await open(each, behindSource) })
    }
    const states = detectors.flatMap(({ name, detector }, at) =>
      detector.state ? [{ name: `${name}-${at}`, state: detector.state }] : [],
    )
    if (states.length > 0) source.keepState?.(states)
    const sinks = await openSinks(config.sinks, behindSource)
    const alertSinks = await openSinks(config.alertSinks, behindSource)
    const plan: Plan = {
      name: config.name,
      source,
      stages,
      detectors,
      sinks: [...sinks, ...observers],
      alertSinks,
      deadLetter: state.deadLetter,
      deliveriesMax: config.deliveriesMax,
      residentBytesMax: config.residentBytesMax,
      drainMs: runtime.settings.drainMs,
    }
    return { plan, close: state.close }
  } catch (error) {
    for (const component of opened.reverse()) await component.close?.().catch(() => undefined)
    await state.close()
    if (error instanceof Stopped) return undefined
    throw error
  }
}

function depsOf(config: PipelineConfig, runtime: Runtime, log: Log, state: PipelineState, signal: AbortSignal): Deps {
  const { clock, metrics } = runtime
  const rejected = metrics.counter('haetae_events_rejected_total', 'Events sent to the dead letter', [
    'pipeline',
    'stage',
    'reason',
  ])
  return {
    pipeline: config.name,
    log,
    metrics,
    clock,
    stateFolder: state.folder,
    topics: runtime.topics,
    positions: noPositions(config.name),
    paused: (component, reason) => runtime.paused?.(config.name, component, reason),
    asks: (component, question) => runtime.asks?.(config.name, component, question),
    async deadLetter(letters) {
      await writeDeadLetters(state.deadLetter, letters, {
        clock,
        log,
        random: Math.random,
        backoff: writeBackoff,
        signal,
      })
      for (const { stage, reason } of letters) {
        rejected.add({ pipeline: config.name, stage, reason: reasonCode(reason) })
      }
    },
  }
}

/** For sources without positions: a sink that needs notes cannot keep its promise behind one. */
function noPositions(pipeline: string): Positions {
  return {
    note: () => undefined,
    committed: () => undefined,
    setNote: () =>
      Promise.reject(
        new HaetaeError('CONFIG_INVALID', `${pipeline}: its sink keeps notes with positions and needs a topic source`),
      ),
    onAssigned: () => undefined,
    onRevoked: () => undefined,
  }
}

/** Opens one component by its type with a configuration written in code. Throws CONFIG_INVALID for an unknown type. */
export function openByType<C>(
  specs: readonly Spec<ZodType, C>[],
  type: string,
  config: object,
  deps: Deps,
): Promise<C> {
  const spec = specs.find(each => each.type === type)
  if (!spec) throw new HaetaeError('CONFIG_INVALID', `this build has no component "${type}"`)
  return spec.open(spec.config.parse(config), deps)
}
