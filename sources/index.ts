import type { ZodType } from 'zod'
import type { Source, Spec } from '../engine/contract.ts'
import { file } from './file.ts'
import { http } from './http.ts'
import { s3 } from './s3.ts'
import { sqs } from './sqs.ts'
import { topic } from './topic.ts'

/** Every source, one line each. The order is that of docs/components.md. */
export const sources: readonly Spec<ZodType, Source>[] = [file, http, s3, sqs, topic]
