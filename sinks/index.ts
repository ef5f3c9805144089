import type { ZodType } from 'zod'
import type { Sink, Spec } from '../engine/contract.ts'
import { drop } from './drop.ts'
import { escalate } from './escalate.ts'
import { file } from './file.ts'
import { firehose } from './firehose.ts'
import { lake } from './lake.ts'
import { opensearch } from './opensearch.ts'
import { s3 } from './s3.ts'
import { slack } from './slack.ts'
import { stdout } from './stdout.ts'
import { topic } from './topic.ts'

/** Every sink, one line each. The order is that of docs/components.md. */
export const sinks: readonly Spec<ZodType, Sink>[] = [
  drop,
  escalate,
  file,
  firehose,
  lake,
  opensearch,
  s3,
  slack,
  stdout,
  topic,
]
