import { asError } from '../platform/errors.ts'
import type { Batch, Event, Stage } from './contract.ts'
import { RecordEvent } from './event.ts'

export interface NamedStage {
  readonly name: string
  readonly stage: Stage
}

export interface Rejected {
  readonly event: Event
  readonly stage: string
  readonly reason: string
}

export interface Staged {
  readonly events: Batch
  readonly rejected: readonly Rejected[]
  /** How many each stage let go of on purpose, in the order of the stages. */
  readonly dropped: readonly number[]
}

/**
 * Runs the stages over a batch. If one throws, the batch is tried again event by event from the raw bytes, and the
 * events under which a stage throws are rejected: one poisonous record costs itself, not its neighbours.
 */
export async function runStages(stages: readonly NamedStage[], batch: Batch): Promise<Staged> {
  const untouched = batch.slice()
  const whole = await attempt(stages, batch)
  if (!(whole instanceof StageFailure)) return whole
  const alone: Staged[] = []
  for (const event of untouched) alone.push(await runAlone(stages, RecordEvent.untouched(event)))
  return {
    events: alone.flatMap(staged => staged.events),
    rejected: alone.flatMap(staged => staged.rejected),
    dropped: stages.map((_, at) => alone.reduce((sum, staged) => sum + staged.dropped[at]!, 0)),
  }
}

async function runAlone(stages: readonly NamedStage[], event: Event): Promise<Staged> {
  const result = await attempt(stages, [event])
  if (!(result instanceof StageFailure)) return result
  const reason = `stage_failed: ${result.cause.message.slice(0, 500)}`
  return { events: [], rejected: [{ event, stage: result.stage, reason }], dropped: stages.map(() => 0) }
}

class StageFailure {
  readonly stage: string
  readonly cause: Error
  constructor(stage: string, cause: Error) {
    this.stage = stage
    this.cause = cause
  }
}

async function attempt(stages: readonly NamedStage[], batch: Batch): Promise<Staged | StageFailure> {
  const rejected: Rejected[] = []
  const dropped: number[] = []
  let events = batch
  for (const { name, stage } of stages) {
    const entered = events.length
    const rejectedBefore = rejected.length
    if (entered === 0) {
      dropped.push(0)
      continue
    }
    try {
      const next = stage.apply(events, (event, reason) => rejected.push({ event, stage: name, reason }))
      // Pure stages stay synchronous: awaiting each of them costs more than most of them do.
      events = next instanceof Promise ? await next : next
    } catch (thrown) {
      return new StageFailure(name, asError(thrown))
    }
    dropped.push(Math.max(0, entered - events.length - (rejected.length - rejectedBefore)))
  }
  return { events, rejected, dropped }
}
