/** Names of headers, query parameters and JSON members whose values are secrets, without `-` and `_` and in lower case. */
const defaultNames = [
  // headers
  'authorization',
  'proxyauthorization',
  'cookie',
  'setcookie',
  'xapikey',
  'xauthtoken',
  'xaccesstoken',
  'xcsrftoken',
  'xxsrftoken',
  'xsessionid',
  'xsessiontoken',
  'xamzsecuritytoken',
  'xamzcredential',
  'xamzsignature',
  'xamznoidcdata',
  'xamznoidcaccesstoken',
  'xawswaftoken',
  'awswaftoken',
  'xgoogiapjwtassertion',
  'cfaccessjwtassertion',
  // parameters
  'accesstoken',
  'apikey',
  'apitoken',
  'assertion',
  'authtoken',
  'clientassertion',
  'clientsecret',
  'confirmpassword',
  'csrf',
  'csrfmiddlewaretoken',
  'csrftoken',
  'currentpassword',
  'idtoken',
  'jsessionid',
  'jwt',
  'newpassword',
  'oldpassword',
  'otp',
  'passphrase',
  'passwd',
  'password',
  'passwordconfirmation',
  'phpsessid',
  'privatekey',
  'pwd',
  'refreshtoken',
  'resettoken',
  'samlresponse',
  'secret',
  'secretkey',
  'session',
  'sessionid',
  'sessiontoken',
  'sid',
  'sig',
  'signature',
  'token',
  'xsrftoken',
] as const

/** Longer ones are no names. */
export const NAME_CHARS_MAX = 64

/** `Access-Token`, `access_token` and `accessToken` are one name. */
function normalised(name: string): string {
  return name.replace(/[-_]/g, '').replace(/[A-Z]+/g, letters => letters.toLowerCase())
}

const HASH_BITS = 12
const ANSWERS_MAX = 1_000
const DASH = 0x2d
const UNDERSCORE = 0x5f

export class SecretNames {
  readonly #names: ReadonlySet<string>
  /** Answers given lately: names repeat. */
  readonly #answers = new Map<string, boolean>()
  /**
   * For each first letter (its low five bits) the set of last ones: tells most other names apart by two bytes. Around `-` and `_`,
   * which do not count, it says nothing.
   */
  readonly #lastByFirst = new Int32Array(32).fill(bit(DASH) | bit(UNDERSCORE))
  /** The names with each hash. */
  readonly #byHash = new Array<readonly string[] | undefined>(1 << HASH_BITS).fill(undefined)

  constructor(additional: readonly string[] = []) {
    this.#names = new Set([...defaultNames, ...additional.map(normalised)].filter(name => name !== ''))
    this.#lastByFirst[DASH & 31] = -1
    this.#lastByFirst[UNDERSCORE & 31] = -1
    for (const name of this.#names) {
      const bytes = Buffer.from(name)
      const hash = hashOf(bytes, 0, bytes.length)
      this.#byHash[hash] = [...(this.#byHash[hash] ?? []), name]
      this.#lastByFirst[bytes[0]! & 31]! |= bit(bytes.at(-1)!)
    }
  }

  has(name: string): boolean {
    if (name.length > NAME_CHARS_MAX) return false
    let answer = this.#answers.get(name)
    if (answer === undefined) {
      if (this.#answers.size >= ANSWERS_MAX) this.#answers.clear()
      answer = this.#names.has(normalised(name))
      this.#answers.set(name, answer)
    }
    return answer
  }

  /** `has` for a name that is not decoded yet; of names with letters other than ASCII, one that is written with capitals is missed. */
  hasBytes(bytes: Uint8Array, from: number, to: number): boolean {
    if (((this.#lastByFirst[bytes[from]! & 31]! >>> (bytes[to - 1]! & 31)) & 1) === 0) return false
    if (to - from > NAME_CHARS_MAX) return false
    const names = this.#byHash[hashOf(bytes, from, to)]
    if (names === undefined) return false
    for (const name of names) if (isWritten(name, bytes, from, to)) return true
    return false
  }
}

/** 1 at the place of a byte's low five bits. */
function bit(byte: number): number {
  return 1 << (byte & 31)
}

/** Of a name as normalised. */
function hashOf(bytes: Uint8Array, from: number, to: number): number {
  let hash = 0
  for (let at = from; at < to; at++) {
    const byte = bytes[at]!
    if (byte !== DASH && byte !== UNDERSCORE) hash = (Math.imul(hash, 31) + (byte | 0x20)) | 0
  }
  return (hash ^ (hash >>> HASH_BITS)) & ((1 << HASH_BITS) - 1)
}

/** Whether the bytes are this name, in any case and with any dashes. */
function isWritten(name: string, bytes: Uint8Array, from: number, to: number): boolean {
  let matched = 0
  for (let at = from; at < to; at++) {
    const byte = bytes[at]!
    if (byte === DASH || byte === UNDERSCORE) continue
    const lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
    if (matched === name.length || lower !== name.charCodeAt(matched)) return false
    matched++
  }
  return matched === name.length
}
