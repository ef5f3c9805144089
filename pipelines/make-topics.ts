import { HaetaeError } from '../platform/errors.ts'
import type { EmbeddedTopics } from '../platform/topics/embedded.ts'
import { type PipelineConfig, writtenTopics } from './load.ts'

export function usesTopics(pipeline: PipelineConfig): boolean {
  return topicRead(pipeline) !== undefined || writtenTopics([pipeline]).length > 0
}

function topicRead({ source: { spec, config } }: PipelineConfig): string | undefined {
  return spec.type === 'topic' ? String((config as { readonly topic: unknown }).topic) : undefined
}

/**
 * Makes the topics that the pipelines write, before anything reads them: on the first start there are none yet. Rejects with
 * TOPIC_UNKNOWN for a topic that is not in the embedded log and that none of them writes, and then makes nothing. One process owns
 * that log, so nobody else could make it: to wait for it would be to wait for ever, and to keep out whoever could.
 */
export async function makeTopics(
  pipelines: readonly PipelineConfig[],
  topics: Pick<EmbeddedTopics, 'describe' | 'ensure'>,
): Promise<void> {
  const written = writtenTopics(pipelines)
  const known = new Set([...topics.describe().map(({ topic }) => topic), ...written.map(({ name }) => name)])
  for (const pipeline of pipelines) {
    const topic = topicRead(pipeline)
    if (topic === undefined || known.has(topic)) continue
    throw new HaetaeError(
      'TOPIC_UNKNOWN',
      `${pipeline.name} reads the topic ${topic}, which nobody has made and no pipeline of this process writes: run it together ` +
        'with the pipeline that writes the topic (haetae up), or after it. To run both at once as processes of their own, use ' +
        'Kafka (HAETAE_KAFKA_BROKERS): one process owns the embedded log',
    )
  }
  for (const config of written) await topics.ensure(config)
}
