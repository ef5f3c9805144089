import type { Clock } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import type { Metrics } from '../platform/metrics.ts'
import type { Topics } from '../platform/topics/contract.ts'
import type { Settings } from './settings.ts'

/** What all pipelines of one process share. */
export interface Runtime {
  readonly settings: Settings
  readonly log: Log
  readonly metrics: Metrics
  readonly clock: Clock
  /** Opens the topic log on first use. */
  readonly topics: () => Promise<Topics>
  /** Why a component of a pipeline does nothing until a person acts; undefined when it goes on. */
  readonly paused?: (pipeline: string, component: string, reason: string | undefined) => void
  /** What a component asks of a person while it goes on; undefined when that is decided. */
  readonly asks?: (pipeline: string, component: string, question: string | undefined) => void
}
