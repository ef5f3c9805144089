import { duckDbEmpty } from './columns.ts'
import { literal } from './duckdb.ts'
import type { LakeTable } from './tables.ts'

/** The partition columns, in the order of the path after `class=`. Strings in DuckDB and Athena alike. */
export const partitionColumns = ['region', 'account', 'day'] as const

/**
 * The views of one table: `<name>_raw` with every row of every object, and `<name>` with each event once. An event that was received twice, by
 * different roads or after a crash of the sender, can stand in two objects.
 *
 * `sources` are the objects as they were listed once: two looks at a lake that changes would find rows twice or never. The rows to leave
 * out are found by a query over the ids alone and joined to the rest, so that a query keeps reading only the
 * columns and the days it asks for (a window over whole rows would not: five times the CPU time for `SELECT *`).
 */
export function tableViews(table: LakeTable, sources: readonly string[]): string {
  const { name, fields } = table
  if (sources.length === 0) {
    const none = duckDbEmpty(fields, partitionColumns)
    return `CREATE OR REPLACE VIEW ${name}_raw AS ${none}; CREATE OR REPLACE VIEW ${name} AS ${none};`
  }
  const columns = [...Object.keys(fields).map(field => `"${field}"`), ...partitionColumns]
  const types = ['class', ...partitionColumns].map(each => `'${each}': VARCHAR`).join(', ')
  const objects = `read_parquet(getvariable('${name}_objects'), hive_partitioning = true, hive_types = {${types}}, filename = true, file_row_number = true)`
  const partition = partitionColumns.join(', ')
  const place = "filename || '#' || file_row_number"
  const samePartition = partitionColumns.map(each => `r.${each} = twice.${each}`).join(' AND ')
  return `
    SET VARIABLE ${name}_objects = [${sources.map(literal).join(', ')}];
    CREATE OR REPLACE VIEW ${name}_raw AS SELECT ${columns.join(', ')} FROM ${objects};
    CREATE OR REPLACE VIEW ${name} AS
      WITH twice AS (
        SELECT ${partition}, metadata.uid AS uid, min(${place}) AS kept FROM ${objects}
        GROUP BY ${partition}, metadata.uid HAVING count(*) > 1
      )
      SELECT ${columns.map(each => `r.${each}`).join(', ')}
      FROM ${objects} AS r LEFT JOIN twice ON ${samePartition} AND r.metadata.uid = twice.uid
      WHERE twice.uid IS NULL OR twice.kept = ${place};`
}

/** AWS WAF requests with flat columns, for people. `time` is UTC. */
export const wafView = `
  CREATE VIEW waf AS SELECT
    make_timestamp_ms(time) AS time,
    action,
    disposition,
    src_endpoint.ip AS client_ip,
    src_endpoint.location.country AS country,
    src_endpoint.location.city AS city,
    src_endpoint.autonomous_system.number AS asn,
    src_endpoint.autonomous_system.name AS as_name,
    http_request.http_method AS method,
    http_request.url.hostname AS host,
    http_request.url.path AS path,
    http_request.url.query_string AS query,
    http_response.code AS status,
    http_request.user_agent AS user_agent,
    coalesce(firewall_rule.name, firewall_rule.uid) AS rule,
    firewall_rule.type AS rule_type,
    metadata.labels AS labels,
    list_extract(list_transform(ja4_fingerprint_list, lambda ja4: ja4.value), 1) AS ja4,
    dst_endpoint.svc_name AS service,
    metadata.product.feature.uid AS web_acl,
    http_request.uid AS request_id,
    metadata.uid AS uid,
    region, account, day
  FROM http_activity WHERE metadata.product.name = 'AWS WAF';`

/** What both views of findings show. */
const findingColumns = `
    make_timestamp_ms(time) AS time,
    severity,
    finding_info.title AS title`

const findingPlace = `
    finding_info.uid AS finding_uid,
    metadata.uid AS uid,
    region, account, day
  FROM detection_finding`

/** Findings of GuardDuty and Falco with flat columns, one row for each state of a finding. `remote_ip`: the far end of the first connection. */
export const findingsView = `
  CREATE VIEW findings AS SELECT${findingColumns},
    metadata.product.name AS product,
    list_extract(finding_info.types, 1) AS type,
    activity_name AS activity,
    coalesce(count, 1) AS count,
    CASE WHEN evidences[1].connection_info.direction_id = 2 THEN evidences[1].dst_endpoint.ip
         ELSE evidences[1].src_endpoint.ip END AS remote_ip,
    CASE WHEN evidences[1].connection_info.direction_id = 2 THEN evidences[1].dst_endpoint.location.country
         ELSE evidences[1].src_endpoint.location.country END AS country,
    resources[1].type AS resource_type,
    coalesce(resources[1].uid, resources[1].name) AS resource,
    evidences[1].process.cmd_line AS command,
    evidences[1].container.name AS container,
    coalesce(list_contains(metadata.labels, 'sample'), false) AS sample,
    message,${findingPlace} WHERE metadata.product.name <> 'Haetae';`

/** Alerts of our own rules with flat columns. */
export const alertsView = `
  CREATE VIEW alerts AS SELECT${findingColumns},
    finding_info.analytic.uid AS rule,
    evidences[1].src_endpoint.ip AS client_ip,
    evidences[1].src_endpoint.location.country AS country,
    evidences[1].src_endpoint.autonomous_system.number AS asn,
    evidences[1].http_request.http_method AS method,
    evidences[1].http_request.url.path AS path,
    evidences[1].http_request.url.query_string AS query,
    metadata.labels AS tags,
    len(evidences) AS evidences,
    finding_info.related_events[1].uid AS event_uid,${findingPlace} WHERE metadata.product.name = 'Haetae';`

/** What Haetae did, refused or was told, one row each. */
export const auditView = `
  CREATE VIEW audit AS SELECT
    make_timestamp_ms(time) AS time,
    what,
    target,
    rule,
    who,
    source,
    skip_reason,
    reason,
    make_timestamp_ms(until_ms) AS until,
    latency_ms,
    ip_set,
    dry_run,
    incident_uid,
    alert_uids,
    hold,
    decision,
    metadata.uid AS uid,
    day
  FROM remediation_activity;`
