import type { Deps } from '../../engine/contract.ts'
import type { ErrorCode } from '../../platform/errors.ts'

export type RefusalCode = Extract<ErrorCode, 'SINK_UNAUTHORISED' | 'SINK_MISCONFIGURED'>

/** How long nothing is sent, or one document is not sent again, after a refusal that a person must mend. */
export const PAUSE_MS = 30_000

/** A single broken connection is ordinary (a balancer closed it while idle) and not worth a line. */
const TROUBLES_BEFORE_SAID = 2

type State = 'fine' | 'unreachable' | RefusalCode

type StandingDeps = Pick<Deps, 'clock' | 'log' | 'metrics' | 'pipeline' | 'paused'>

/**
 * How the destination takes what it is sent. Each change is said once in the log; `haetae_sink_paused` is 1 while it refuses
 * for a reason that only a person can mend, and the process says so of itself. Nothing is lost meanwhile: the records are tried again.
 */
export class Standing {
  readonly #deps: StandingDeps
  readonly #url: string
  #state: State = 'fine'
  #troubles = 0
  #pausedUntilMs = 0
  #refusedUntilMs = 0

  constructor(deps: StandingDeps, url: string) {
    this.#deps = deps
    this.#url = url
    this.#show(undefined)
  }

  /** 0 when requests may be sent. */
  pausedMs(): number {
    return Math.max(0, this.#pausedUntilMs - this.#deps.clock.monotonicMs())
  }

  /** It took a request. A refusal of single documents holds on until it was not repeated for a while. */
  fine(): void {
    this.#troubles = 0
    if (this.#state === 'fine' || this.#deps.clock.monotonicMs() < this.#refusedUntilMs) return
    this.#change('fine')
    this.#deps.log.info('OpenSearch takes documents again', { url: this.#url })
  }

  /** No answer, or one that says to come back. */
  trouble(message: string): void {
    if (++this.#troubles < TROUBLES_BEFORE_SAID || this.#state !== 'fine') return
    this.#change('unreachable')
    this.#deps.log.warn('OpenSearch does not take documents: they are kept and tried again', {
      url: this.#url,
      error: message,
    })
  }

  /** It refuses the whole request: everything stops for PAUSE_MS, then one request tries. */
  refusedAll(code: RefusalCode, message: string): void {
    this.#pausedUntilMs = this.#deps.clock.monotonicMs() + PAUSE_MS
    this.#refusedUntilMs = 0
    this.#refused(code, message)
  }

  /** It refuses some documents; the others go on. */
  refusedSome(code: RefusalCode, message: string): void {
    this.#refusedUntilMs = this.#deps.clock.monotonicMs() + 2 * PAUSE_MS
    this.#refused(code, message)
  }

  #refused(code: RefusalCode, message: string): void {
    if (this.#state === code) return
    this.#change(code, `${code}: ${message}`)
    const advice =
      code === 'SINK_UNAUTHORISED' ? 'check auth and the rights of its role' : 'see the error and mend it there'
    this.#deps.log.error(
      `OpenSearch refuses documents: they are kept and tried every ${PAUSE_MS / 1000} s; ${advice}`,
      {
        code,
        url: this.#url,
        error: message,
      },
    )
  }

  /** `paused`: why, when a person must act. */
  #change(state: State, paused?: string): void {
    this.#state = state
    this.#show(paused)
  }

  #show(paused: string | undefined): void {
    const { metrics, pipeline } = this.#deps
    metrics
      .gauge('haetae_sink_paused', '1 while a destination refuses for a reason that only a person can mend', [
        'pipeline',
        'sink',
      ])
      .set(paused === undefined ? 0 : 1, { pipeline, sink: 'opensearch' })
    this.#deps.paused?.('opensearch', paused)
  }
}
