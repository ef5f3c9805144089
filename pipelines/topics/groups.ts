/** The groups that read topics: what waits for them, and where they go on. */
import { HaetaeError } from '../../platform/errors.ts'
import type { GroupLag } from '../../platform/topics/contract.ts'
import type { Settings } from '../settings.ts'
import { withAsked } from './ask.ts'

/** What waits for each group. */
export function topicLags(settings: Settings): Promise<readonly GroupLag[]> {
  return withAsked(settings, asked => asked.lag())
}

/** The group no longer holds back retention, or has no positions any more. Throws TOPIC_MISMATCH while it reads, USAGE when there is none. */
export async function forgetGroup(settings: Settings, group: string): Promise<void> {
  await withAsked(settings, async asked => {
    const groups = new Set((await asked.lag()).map(each => each.group))
    if (!groups.has(group)) {
      throw new HaetaeError('USAGE', `there is no group "${group}"; there are: ${[...groups].join(', ') || 'none'}`)
    }
    await asked.forgetGroup(group)
  })
}

export interface Move {
  readonly group: string
  readonly topic: string
  /** Of the topic; undefined: all of them. */
  readonly partition: number | undefined
  readonly to: 'earliest' | 'latest' | bigint
}
export interface Moved {
  readonly partition: number
  readonly from: bigint
  readonly to: bigint
}

/**
 * Makes a group go on elsewhere: back to what it has read, or past what it cannot. Throws USAGE when there is nothing of this
 * name or no such offset, TOPIC_MISMATCH while the group reads.
 */
export function moveGroup(settings: Settings, { group, topic, partition, to }: Move): Promise<readonly Moved[]> {
  return withAsked(settings, async log => {
    const lags = await log.lag()
    const reads = lags.filter(each => each.group === group && each.topic === topic)
    const chosen = reads.filter(each => partition === undefined || each.partition === partition)
    if (chosen.length === 0) {
      const known = [...new Set(lags.map(each => `${each.group} ${each.topic}`))].join(', ') || 'none'
      const what = partition === undefined ? topic : `partition ${partition} of ${topic}`
      throw new HaetaeError('USAGE', `there is no group "${group}" that reads ${what}; groups and topics are: ${known}`)
    }
    if (typeof to === 'bigint' && chosen.length > 1) {
      throw new HaetaeError(
        'USAGE',
        `an offset is one of a partition, and ${topic} has ${chosen.length}: say --partition`,
      )
    }
    const states = (await log.partitions()).filter(each => each.topic === topic)
    const moves = chosen.map(({ partition: index, committed }): Moved => {
      const { start, end } = states.find(each => each.partition === index)!
      if (typeof to === 'bigint' && (to < start || to > end)) {
        throw new HaetaeError(
          'USAGE',
          `${topic}/${index} holds the offsets from ${start} to ${end}: ${to} is none of them`,
        )
      }
      return { partition: index, from: committed, to: to === 'earliest' ? start : to === 'latest' ? end : to }
    })
    for (const move of moves) await log.moveGroup(group, topic, move.partition, move.to)
    return moves
  })
}
