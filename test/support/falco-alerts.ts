import type { JsonObject } from '../../platform/ocsf/event.ts'

/** A Falco alert of today's rules and container plugin. */
export function falcoAlert(more: JsonObject = {}, fields: JsonObject = {}): JsonObject {
  return {
    hostname: 'ip-10-20-3-4.ap-northeast-2.compute.internal',
    output: '2026-11-23T04:00:00.123456789+0000: Notice A shell was spawned in a container | process=bash',
    output_fields: {
      'container.id': 'a1b2c3d4e5f6',
      'container.image.repository': 'registry.example/shop/order',
      'container.image.tag': '1.4.2',
      'container.name': 'order',
      'evt.time.iso8601': 'NANOSECONDS',
      'evt.type': 'execve',
      'k8s.ns.name': 'shop',
      'k8s.pod.name': 'order-6c9d8b7f5-x2x4z',
      'proc.cmdline': 'bash -i',
      'proc.exepath': '/usr/bin/bash',
      'proc.name': 'bash',
      'proc.pname': 'node',
      'proc.tty': 34_816,
      'user.loginuid': -1,
      'user.name': 'node',
      'user.uid': 1000,
      ...fields,
    },
    priority: 'Notice',
    rule: 'Terminal shell in container',
    source: 'syscall',
    tags: ['T1059.004', 'container', 'maturity_stable', 'mitre_execution', 'shell'],
    time: '2026-11-23T04:00:00.123456789Z',
    ...more,
  }
}

export const kubernetesAudit = falcoAlert({
  rule: 'Attach/Exec Pod',
  source: 'k8s_audit',
  tags: ['k8s'],
  output_fields: {
    'ka.response.code': '101',
    'ka.target.name': 'order-6c9d8b7f5-x2x4z',
    'ka.target.namespace': 'shop',
    'ka.target.resource': 'pods',
    'ka.target.subresource': 'exec',
    'ka.uri': '/api/v1/namespaces/shop/pods/order/exec',
    'ka.user.name': 'kubernetes-admin',
    'ka.useragent': 'kubectl/v1.35.0',
    'ka.verb': 'create',
  },
})
export const cloudTrail = falcoAlert({
  rule: 'Console Login Without MFA',
  source: 'aws_cloudtrail',
  output_fields: {
    'ct.name': 'ConsoleLogin',
    'ct.src': 'signin.amazonaws.com',
    'ct.srcip': '203.0.113.20',
    'ct.user': 'root',
    'ct.error': 'Failed',
    'ct.region': 'us-east-1',
  },
})
export const network = falcoAlert(
  { rule: 'Contact K8S API Server From Container' },
  { 'fd.name': '10.20.3.9:43812->10.96.0.1:443', 'fd.l4proto': 'tcp', 'evt.type': 'connect' },
)
export const file = falcoAlert(
  { rule: 'Read sensitive file untrusted' },
  { 'fd.name': '/etc/shadow', 'fd.type': 'file', 'proc.pid': 4711, 'proc.ppid': 1 },
)
export const internal = falcoAlert({
  rule: 'Falco internal: syscall event drop',
  source: 'internal',
  priority: 'Debug',
  tags: [],
  output_fields: { n_drops: '815508', ebpf_enabled: '1' },
})
/** One alert of every shape. */
export const alertsOfEveryKind: Record<string, JsonObject> = {
  shell: falcoAlert(),
  kubernetesAudit,
  cloudTrail,
  network,
  file,
  internal,
}
