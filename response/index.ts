import type { ZodType } from 'zod'
import type { Sink, Spec } from '../engine/contract.ts'
import { blocks } from './blocks.ts'
import { decide } from './decide.ts'
import { incidents } from './incidents.ts'
import { keys } from './keys.ts'

/** Every component that acts on alerts, one line each: they stand among the sinks of a pipeline file. */
export const responseSinks: readonly Spec<ZodType, Sink>[] = [blocks, decide, incidents, keys]
