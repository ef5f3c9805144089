import { z } from 'zod'

/** What every source that reads a queue has. */
export const queueOptions = {
  queueUrl: z.url({ protocol: /^https?$/ }).describe('Of the queue, as AWS shows it'),
  visibilityMs: z
    .int()
    .min(10_000)
    .max(43_200_000)
    .default(120_000)
    .describe('How long a message that we work on is hidden from others; extended for as long as that takes'),
  waitMs: z.int().min(1_000).max(20_000).default(20_000).describe('How long one request waits for a message'),
  receivesMax: z
    .int()
    .min(1)
    .max(1_000)
    .default(20)
    .describe(
      'A message received more often than this goes to the dead letter; set it below that of a redrive policy. Every restart receives again what was not finished',
    ),
}
