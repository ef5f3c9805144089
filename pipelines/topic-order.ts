import { HaetaeError } from '../platform/errors.ts'
import type { EmbeddedTopics } from '../platform/topics/embedded.ts'
import { topicsWritten } from '../sinks/topic.ts'
import type { PipelineConfig } from './load.ts'

export function writesTopic({ sinks }: PipelineConfig): boolean {
  return sinks.some(({ spec }) => spec.type === 'topic')
}

export function usesTopics(pipeline: PipelineConfig): boolean {
  return topicRead(pipeline) !== undefined || writesTopic(pipeline)
}

function topicRead({ source: { spec, config } }: PipelineConfig): string | undefined {
  return spec.type === 'topic' ? String((config as { readonly topic: unknown }).topic) : undefined
}

/**
 * Throws TOPIC_UNKNOWN for a topic that is not in the embedded log and that none of the pipelines makes. One process owns that log, so
 * nobody else could make it: to wait for it would be to wait for ever, and to keep out whoever could. (In Kafka others make topics.)
 */
export function demandTopics(pipelines: readonly PipelineConfig[], topics: Pick<EmbeddedTopics, 'describe'>): void {
  const made = pipelines.flatMap(({ sinks }) =>
    sinks.filter(({ spec }) => spec.type === 'topic').flatMap(({ config }) => topicsWritten(config)),
  )
  const known = new Set([...topics.describe().map(({ topic }) => topic), ...made.map(({ name }) => name)])
  for (const pipeline of pipelines) {
    const topic = topicRead(pipeline)
    if (topic === undefined || known.has(topic)) continue
    throw new HaetaeError(
      'TOPIC_UNKNOWN',
      `${pipeline.name} reads the topic ${topic}, which nobody has made and no pipeline of this process makes: run it together ` +
        'with the pipeline that writes the topic (haetae up), or after it. To run both at once as processes of their own, use ' +
        'Kafka (HAETAE_KAFKA_BROKERS): one process owns the embedded log',
    )
  }
}

/**
 * `all` resolves when every pipeline that writes a topic has made it, or when `signal` aborts, as one of them never may. `by` says that
 * one has.
 */
export function topicsMade(
  pipelines: readonly PipelineConfig[],
  signal: AbortSignal,
): { readonly all: Promise<void>; by(pipeline: PipelineConfig): void } {
  const { promise: all, resolve } = Promise.withResolvers<void>()
  const missing = new Set(pipelines.filter(writesTopic))
  if (missing.size === 0 || signal.aborted) resolve()
  signal.addEventListener('abort', () => resolve(), { once: true })
  return {
    all,
    by(pipeline) {
      missing.delete(pipeline)
      if (missing.size === 0) resolve()
    },
  }
}
