import type { ZodType } from 'zod'
import type { Sink, Spec } from '../engine/contract.ts'

/** Every sink, one line each. The order is that of docs/components.md. */
export const sinks: readonly Spec<ZodType, Sink>[] = []
