import type { ZodType } from 'zod'
import type { Spec, Stage } from '../engine/contract.ts'
import { dedupe } from './dedupe.ts'
import { filter } from './filter.ts'
import { geoip } from './geoip.ts'
import { key } from './key.ts'
import { parseFalco } from './parse-falco.ts'
import { parseGuardduty } from './parse-guardduty.ts'
import { parseJson } from './parse-json.ts'
import { parseWaf } from './parse-waf.ts'
import { redact } from './redact.ts'

/** Every stage, one line each. The order is that of docs/components.md. */
export const stages: readonly Spec<ZodType, Stage>[] = [
  dedupe,
  filter,
  geoip,
  key,
  parseFalco,
  parseGuardduty,
  parseJson,
  parseWaf,
  redact,
]
