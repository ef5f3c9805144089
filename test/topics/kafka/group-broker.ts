import { encodeAssignment } from '../../../platform/topics/kafka/assignment.ts'
import { encodeBatch } from '../../../platform/topics/kafka/batch.ts'
import type { Requests } from '../../../platform/topics/kafka/cluster.ts'
import { numbered } from '../support.ts'

interface At {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
}
/** What the requests of a consumer hold, each a part of it. */
interface Asked {
  readonly member: string
  readonly generation: number
  readonly positions: readonly At[]
  readonly partitions: readonly At[]
}

/** One broker with one group of one member that is ours, in memory. What a test sets is answered from then on. */
export class GroupBroker implements Requests {
  readonly committed = new Map<number, { readonly offset: bigint; readonly generation: number }>()
  generation = 0
  /** How far the generation goes on with the next join. */
  step = 1
  /** Partitions that the next share gives us. */
  share = [0, 1]
  /** Codes of the protocol; 0 is success. */
  joinCode = 0
  heartbeatCode = 0
  commitCode = 0
  fetchCode = 0
  joins = 0
  fetches = 0
  /** Joins wait for it, as for the other members. */
  gate: Promise<void> = Promise.resolve()
  /** The next question for committed positions waits for it. */
  positionsGate: Promise<void> = Promise.resolve()
  readonly #batch = encodeBatch(numbered(10))

  refresh(topics: readonly string[]): ReturnType<Requests['refresh']> {
    const partitions = [0, 1].map(partition => ({ partition, leader: 1, replicas: 1 }))
    return Promise.resolve(topics.map(topic => ({ code: 0, topic, partitions })))
  }
  leader(): number {
    return 1
  }
  coordinator(): Promise<number> {
    return Promise.resolve(1)
  }
  closeLane(): Promise<void> {
    return Promise.resolve()
  }

  async send(_node: number, _lane: string, message: { readonly name: string }, request: unknown): Promise<never> {
    return (await this.#answer(message.name, request as Asked)) as never
  }

  async #answer(name: string, request: Asked): Promise<unknown> {
    switch (name) {
      case 'JoinGroup':
        return this.#join(request.member || `member-${this.joins}`)
      case 'SyncGroup':
        return { code: 0, assignment: encodeAssignment(this.share.map(partition => ({ topic: 't', partition }))) }
      case 'Heartbeat':
        return { code: this.heartbeatCode }
      case 'LeaveGroup':
        return { code: 0 }
      case 'OffsetFetch': {
        const gate = this.positionsGate
        this.positionsGate = Promise.resolve()
        await gate
        return {
          code: 0,
          positions: [...this.committed].map(([partition, { offset }]) => {
            return { topic: 't', partition, offset, note: undefined, code: 0 }
          }),
        }
      }
      case 'OffsetCommit':
        return this.#commit(request.positions, request.generation)
      case 'ListOffsets':
        return request.partitions.map(({ topic, partition }) => {
          return { topic, partition, code: 0, offset: 0n }
        })
      case 'Fetch':
        return this.#fetch(request.partitions)
      default:
        throw new Error(`a group is not asked ${name}`)
    }
  }

  async #join(member: string): Promise<unknown> {
    this.joins++
    await this.gate
    this.heartbeatCode = 0
    this.generation += this.step
    const members = [{ id: member, subscription: Buffer.alloc(0) }]
    return { code: this.joinCode, generation: this.generation, leader: 'another', member, members }
  }

  #commit(positions: readonly At[], generation: number): unknown {
    if (this.commitCode === 0) {
      for (const { partition, offset } of positions) this.committed.set(partition, { offset, generation })
    }
    return positions.map(({ topic, partition }) => ({ topic, partition, code: this.commitCode }))
  }

  /** Each partition holds ten records, and then makes the fetch wait as a broker does. */
  async #fetch(partitions: readonly At[]): Promise<unknown> {
    this.fetches++
    if (this.fetchCode === 0 && partitions.every(({ offset }) => offset >= 10n)) {
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    return {
      code: 0,
      partitions: partitions.map(({ topic, partition, offset }) => {
        const batches = offset < 10n && this.fetchCode === 0 ? this.#batch : Buffer.alloc(0)
        return { topic, partition, code: this.fetchCode, highWatermark: 10n, logStart: 0n, batches }
      }),
    }
  }
}
