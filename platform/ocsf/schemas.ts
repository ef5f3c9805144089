import { detectionFinding } from './finding-schema.ts'
import { incident, remediationActivity } from './response-schema.ts'
import { type Fields, httpActivity } from './schema.ts'

/** Every class that has columns, by the name that the lake and the index templates know it by. */
export const schemas = {
  http_activity: httpActivity,
  detection_finding: detectionFinding,
  remediation_activity: remediationActivity,
  incident,
} as const satisfies Readonly<Record<string, Fields>>

export type SchemaName = keyof typeof schemas
export const schemaNames = Object.keys(schemas) as SchemaName[]
