import type { ZodType } from 'zod'
import type { Spec, Stage } from '../engine/contract.ts'

/** Every stage, one line each. The order is that of docs/components.md. */
export const stages: readonly Spec<ZodType, Stage>[] = []
