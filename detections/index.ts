import type { ZodType } from 'zod'
import type { Detector, Spec } from '../engine/contract.ts'
import { sigma } from './sigma.ts'

/** Every detector, one line each. The order is that of docs/components.md. */
export const detectors: readonly Spec<ZodType, Detector>[] = [sigma]
