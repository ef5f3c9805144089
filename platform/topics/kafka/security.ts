import { readFileSync } from 'node:fs'
import type { Clock } from '../../clock.ts'
import { HaetaeError } from '../../errors.ts'
import { readSecret } from '../../secret.ts'
import { mskToken } from './msk-iam.ts'
import type { KafkaSettings, SaslSettings } from './settings.ts'
import type { Security } from './transport.ts'

/** Reads the files and secrets. Throws SECRET_MISSING or CONFIG_UNREADABLE. */
export function securityOf({ tls, caFile, sasl }: KafkaSettings, clock: Clock): Security {
  return { tls: tls ? { ca: caFile === undefined ? undefined : readCa(caFile) } : undefined, sasl: saslOf(sasl, clock) }
}

function saslOf(sasl: SaslSettings | undefined, clock: Clock): Security['sasl'] {
  if (!sasl) return undefined
  if (sasl.mechanism === 'msk-iam') return { mechanism: 'oauthbearer', token: mskToken(sasl.region, clock) }
  const { mechanism, username } = sasl
  return { mechanism, username, password: readSecret(sasl.password) }
}

function readCa(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new HaetaeError('CONFIG_UNREADABLE', `HAETAE_KAFKA_CA_FILE=${file} cannot be read`, { cause })
  }
}
