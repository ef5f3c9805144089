import { HaetaeError } from '../../platform/errors.ts'
import type {
  Appended,
  FetchedRecord,
  Position,
  SubscribeOptions,
  Subscription,
  TopicRecord,
  Topics,
} from '../../platform/topics/contract.ts'
import type { EmbeddedTopics } from '../../platform/topics/embedded.ts'
import type { Random } from '../support/random.ts'
import type { Life } from './life.ts'
import type { World } from './world.ts'

/**
 * The real embedded log as one process sees it. Calls take simulated time, fail before or after they had their effect,
 * and a crash takes the process away from any of them.
 */
export class SimTopics implements Topics {
  readonly #world: World
  readonly #life: Life
  readonly #random: Random

  constructor(world: World, life: Life) {
    this.#world = world
    this.#life = life
    this.#random = world.random.fork()
  }

  get #log(): EmbeddedTopics {
    return this.#world.log
  }

  ensure: Topics['ensure'] = config => this.#call(0, () => this.#log.ensure(config))
  lag: Topics['lag'] = () => this.#call(0, () => this.#log.lag())
  close: Topics['close'] = () => Promise.resolve()

  append(topic: string, records: readonly TopicRecord[], marker?: string): Promise<Appended> {
    return this.#call(this.#world.faults.append, async () => {
      const appended = await this.#log.append(topic, records, marker)
      if (appended.repeated) this.#world.happened('repeated request')
      return appended
    })
  }

  /** Read whole at one moment of the simulated time. */
  async *readCompacted(topic: string, wants?: (key: string) => boolean): ReturnType<Topics['readCompacted']> {
    yield* await this.#call(0, async () => {
      const records: (FetchedRecord & { readonly partition: number })[] = []
      for await (const record of this.#log.readCompacted(topic, wants)) records.push(record)
      return records
    })
  }

  async subscribe(options: SubscribeOptions): Promise<Subscription> {
    const life = this.#life
    const heard = options.listener
    const listener = {
      assigned: (positions: readonly Position[]) => life.alive && heard.assigned(positions),
      revoked: (partitions: Parameters<typeof heard.revoked>[0]) => {
        if (!life.alive) return
        this.#world.happened('revoke')
        heard.revoked(partitions)
      },
    }
    const inner = await this.#call(0, async () => {
      const subscription = await this.#log.subscribe({ ...options, listener })
      // The broker notices that a process is gone; the process itself hears nothing of it.
      life.onDeath(() => void this.#world.time.real(() => subscription.close()))
      return subscription
    })
    return {
      poll: signal => life.seen(inner.poll(signal)),
      close: () => this.#call(0, () => inner.close()),
      commit: positions =>
        this.#call(this.#world.faults.commit, async () => {
          await inner.commit(positions)
          for (const position of positions) this.#world.committed(options.group, position)
        }),
    }
  }

  /** `faulty`: how likely it fails; then half of the time before the effect, half of the time after it. */
  async #call<T>(faulty: number, work: () => Promise<T>): Promise<T> {
    const { time } = this.#world
    const fails = this.#random.chance(faulty)
    const before = this.#random.chance(0.5)
    await time.sleep(this.#random.int(0, 20), this.#life)
    if (!fails || !before) {
      const [result] = await Promise.all([time.real(work), time.sleep(this.#random.int(0, 20), this.#life)])
      if (!fails) return this.#life.seen(Promise.resolve(result))
    }
    this.#world.happened(before ? 'failed before its effect' : 'failed after its effect')
    throw new HaetaeError('TOPIC_FULL', 'simulated: the disk is full')
  }
}
