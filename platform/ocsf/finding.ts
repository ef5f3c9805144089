import type { OcsfEvent } from './event.ts'

const activities = { 1: 'Create', 2: 'Update', 3: 'Close' } as const
const severities = ['Unknown', 'Informational', 'Low', 'Medium', 'High', 'Critical', 'Fatal'] as const
export type SeverityId = 0 | 1 | 2 | 3 | 4 | 5 | 6

/** The classification of a Detection Finding. */
export function classification(activityId: 1 | 2 | 3, severityId: SeverityId, timeMs: number): OcsfEvent {
  return {
    activity_id: activityId,
    activity_name: activities[activityId],
    category_uid: 2,
    category_name: 'Findings',
    class_uid: 2004,
    class_name: 'Detection Finding',
    type_uid: 200_400 + activityId,
    type_name: `Detection Finding: ${activities[activityId]}`,
    severity_id: severityId,
    severity: severities[severityId],
    time: timeMs,
  }
}
