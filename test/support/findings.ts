/** GuardDuty findings of every kind that can carry a remote address, for the tests of parse-guardduty. */
import type { Json, JsonObject } from '../../platform/ocsf/event.ts'

const FINDING_ID = '8ec1c9d0b3b0f9b2a77e6f0f6f3a1d52'
const ARN = `arn:aws:guardduty:ap-northeast-2:123456789012:detector/12abc34d567e8fa901bc2d34e56789f0/finding/${FINDING_ID}`

/** A port probe's or connection's far end, as GuardDuty describes it. */
export function remote(ip: string): JsonObject {
  return {
    ipAddressV4: ip,
    organization: { asn: '9318', asnOrg: 'SK Broadband Co Ltd', isp: 'SK Broadband', org: 'SKB' },
    country: { countryCode: 'KR', countryName: 'South Korea' },
    city: { cityName: 'Suwon' },
    geoLocation: { lat: 37.26, lon: 127.01 },
  }
}

/** A finding with this type and action; `more` replaces whole top-level fields. */
export function finding(type: string, action: JsonObject, more: JsonObject = {}): JsonObject {
  return {
    schemaVersion: '2.0',
    accountId: '123456789012',
    region: 'ap-northeast-2',
    partition: 'aws',
    id: FINDING_ID,
    arn: ARN,
    type,
    resource: {
      resourceType: 'Instance',
      instanceDetails: { instanceId: 'i-0a1b2c3d4e5f60718', instanceType: 'm7g.large' },
    },
    service: {
      serviceName: 'guardduty',
      detectorId: '12abc34d567e8fa901bc2d34e56789f0',
      action,
      resourceRole: 'TARGET',
      additionalInfo: { value: '{}', type: 'default' },
      evidence: null,
      eventFirstSeen: '2026-11-23T04:00:01.000Z',
      eventLastSeen: '2026-11-23T04:10:02.000Z',
      archived: false,
      count: 3,
    },
    severity: 5,
    createdAt: '2026-11-23T04:05:00.000Z',
    updatedAt: '2026-11-23T04:15:00.000Z',
    title: 'Something happened to i-0a1b2c3d4e5f60718.',
    description: 'Something happened to the EC2 instance i-0a1b2c3d4e5f60718 and it was seen.',
    ...more,
  }
}

export function connection(direction: string, far: JsonObject = remote('180.70.170.34')): JsonObject {
  return {
    actionType: 'NETWORK_CONNECTION',
    networkConnectionAction: {
      connectionDirection: direction,
      remoteIpDetails: far,
      remotePortDetails: { port: 32_794, portName: 'Unknown' },
      localPortDetails: { port: 22, portName: 'SSH' },
      localIpDetails: { ipAddressV4: '10.0.1.5' },
      protocol: 'TCP',
      blocked: false,
    },
  }
}

const apiCall: JsonObject = {
  actionType: 'AWS_API_CALL',
  awsApiCallAction: {
    api: 'GetCallerIdentity',
    callerType: 'Remote IP',
    serviceName: 'sts.amazonaws.com',
    errorCode: 'AccessDenied',
    userAgent: 'aws-cli/2.31.0',
    remoteIpDetails: remote('91.203.5.1'),
    remoteAccountDetails: { accountId: '999988887777', affiliated: false },
  },
}

const kubernetesCall: JsonObject = {
  actionType: 'KUBERNETES_API_CALL',
  kubernetesApiCallAction: {
    requestUri: '/api/v1/secrets',
    verb: 'list',
    sourceIPs: ['203.0.113.9', '10.1.2.3'],
    userAgent: 'kubectl/v1.35.0',
    remoteIpDetails: remote('203.0.113.9'),
    statusCode: 200,
  },
}

const rdsLogin: JsonObject = {
  actionType: 'RDS_LOGIN_ATTEMPT',
  rdsLoginAttemptAction: {
    remoteIpDetails: remote('203.0.113.77'),
    LoginAttributes: [
      { user: 'admin', application: 'psql', failedLoginAttempts: 120, successfulLoginAttempts: 0 },
      { user: 'shop', application: 'psql', failedLoginAttempts: 3, successfulLoginAttempts: 1 },
    ],
  },
}

const portProbe: JsonObject = {
  actionType: 'PORT_PROBE',
  portProbeAction: {
    blocked: false,
    portProbeDetails: ['198.51.100.1', '198.51.100.2', '2001:db8::7'].map(ip => ({
      localPortDetails: { port: 6379, portName: 'Redis' },
      localIpDetails: { ipAddressV4: '10.0.1.5' },
      remoteIpDetails: ip.includes(':') ? { ipAddressV6: ip } : remote(ip),
    })),
  },
}

/** An attack sequence: no action; its endpoints, actors and signals stand under detection. */
function attackSequence(): JsonObject {
  const base = finding('AttackSequence:IAM/CompromisedCredentials', {}, { severity: 9.2 })
  const { action: _, ...service } = base['service'] as JsonObject
  return {
    ...base,
    resource: { resourceType: 'AttackSequence' },
    service: {
      ...service,
      detection: {
        sequence: {
          uid: 'seq-1',
          description: 'A sequence of actions',
          endpoints: [
            {
              id: 'e1',
              ip: '185.220.101.7',
              port: 443,
              location: { city: 'Berlin', country: 'DE', lat: 52.5, lng: 13.4 },
              autonomousSystem: { name: 'Tor', number: 60_729 },
              connection: { direction: 'INBOUND' },
            },
            { id: 'e2', domain: 'pool.example', connection: { direction: 'OUTBOUND' } },
          ],
          signals: [{ uid: 's1', type: 'FINDING', severity: 8, count: 2 }],
        },
      },
    },
  }
}

/** A finding of this type with a change deep inside its service. */
export function withService(change: JsonObject, type = 'UnauthorizedAccess:EC2/SSHBruteForce'): JsonObject {
  const base = finding(type, connection('INBOUND'))
  return { ...base, service: { ...(base['service'] as JsonObject), ...change } }
}

/** What EventBridge makes of a finding. */
export function eventBridge(detail: JsonObject): JsonObject {
  return {
    version: '0',
    id: 'c8c4daa7-a20c-2f03-0070-b7393dd542ad',
    'detail-type': 'GuardDuty Finding',
    source: 'aws.guardduty',
    account: '123456789012',
    time: '2026-11-23T04:15:05Z',
    region: 'ap-northeast-2',
    resources: [],
    detail,
  }
}

/** The finding as the API's Python client prints it. */
export function pascalCase(value: Json): Json {
  if (Array.isArray(value)) return value.map(pascalCase)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key[0]!.toUpperCase() + key.slice(1), pascalCase(item)]),
  )
}

/** One finding of every shape. */
export const findingsOfEveryKind: Record<string, JsonObject> = {
  inbound: finding('UnauthorizedAccess:EC2/SSHBruteForce', connection('INBOUND')),
  outbound: finding('CryptoCurrency:EC2/BitcoinTool.B', connection('OUTBOUND')),
  probe: finding('Recon:EC2/PortProbeUnprotectedPort', portProbe),
  api: finding('UnauthorizedAccess:IAMUser/MaliciousIPCaller', apiCall, {
    resource: {
      resourceType: 'AccessKey',
      accessKeyDetails: {
        accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
        principalId: 'AIDACKCEVSQ6C2EXAMPLE',
        userType: 'IAMUser',
        userName: 'ci',
      },
    },
  }),
  kubernetes: finding('Discovery:Kubernetes/TorIPCaller', kubernetesCall, {
    resource: {
      resourceType: 'EKSCluster',
      eksClusterDetails: {
        name: 'shop',
        arn: 'arn:aws:eks:ap-northeast-2:123456789012:cluster/shop',
        createdAt: 1_636_625_755.218,
        tags: [{ key: 'team', value: 'shop' }],
      },
      kubernetesDetails: {
        kubernetesUserDetails: { username: 'system:anonymous', uid: 'u-1', groups: ['system:unauthenticated'] },
        kubernetesWorkloadDetails: { name: 'order', type: 'deployments', uid: 'w-1', namespace: 'shop' },
      },
    },
  }),
  rds: finding('CredentialAccess:RDS/AnomalousBehavior.SuccessfulBruteForce', rdsLogin, {
    resource: {
      resourceType: 'RDSDBInstance',
      rdsDbInstanceDetails: {
        dbInstanceIdentifier: 'orders',
        dbInstanceArn: 'arn:aws:rds:ap-northeast-2:123456789012:db:orders',
        engine: 'postgres',
      },
    },
  }),
  sequence: attackSequence(),
  dns: finding('Trojan:EC2/BlackholeTraffic!DNS', {
    actionType: 'DNS_REQUEST',
    dnsRequestAction: { domain: 'bad.example', protocol: 'UDP', blocked: true },
  }),
  runtime: withService(
    {
      action: {},
      featureName: 'RuntimeMonitoring',
      runtimeDetails: {
        process: {
          name: 'sshd',
          pid: 2345,
          uuid: 'p-1',
          executablePath: '/usr/bin/ssh',
          executableSha256: 'd2'.repeat(32),
          user: 'admin',
          userId: 1000,
        },
      },
    },
    'PrivilegeEscalation:Runtime/DockerSocketAccessed',
  ),
  bucket: finding('Exfiltration:S3/MaliciousIPCaller', apiCall, {
    resource: {
      resourceType: 'S3Bucket',
      s3BucketDetails: [
        { arn: 'arn:aws:s3:::orders', name: 'orders', type: 'Destination' },
        { arn: 'arn:aws:s3:::logs', name: 'logs' },
      ],
    },
  }),
  malware: finding('Execution:EC2/MaliciousFile', {}, { severity: 8 }),
}

/** What AWS Health sends through EventBridge when it has found a key in public (user guide, schema of AWS Health events). */
export function exposedKey(accessKeyId: string): JsonObject {
  return {
    version: '0',
    id: '121345678-1234-1234-1234-123456789012',
    'detail-type': 'AWS Health Event',
    source: 'aws.health',
    account: '123456789012',
    time: '2026-11-23T06:03:00Z',
    region: 'us-east-1',
    resources: [accessKeyId],
    detail: {
      eventArn: 'arn:aws:health:us-east-1::event/RISK/AWS_RISK_CREDENTIALS_EXPOSED/AWS_RISK_CREDENTIALS_EXPOSED_1234',
      service: 'RISK',
      eventTypeCode: 'AWS_RISK_CREDENTIALS_EXPOSED',
      eventTypeCategory: 'issue',
      eventScopeCode: 'ACCOUNT_SPECIFIC',
      communicationId: 'c0ffee-1',
      startTime: 'Mon, 23 Nov 2026 06:00:00 GMT',
      lastUpdatedTime: 'Mon, 23 Nov 2026 06:02:51 GMT',
      statusCode: 'open',
      eventRegion: 'us-east-1',
      eventDescription: [{ language: 'en_US', latestDescription: 'The key was found in a public repository.' }],
      affectedEntities: [
        { entityValue: accessKeyId, lastUpdatedTime: 'Mon, 23 Nov 2026 06:02:51 GMT', status: 'IMPAIRED' },
      ],
      affectedAccount: '123456789012',
      page: '1',
      totalPages: '1',
    },
  }
}
