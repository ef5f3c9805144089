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
const DASH = 0x2d & 31
const UNDERSCORE = 0x5f & 31
const ANSWERS_MAX = 1_000

export class SecretNames {
  readonly #names: ReadonlySet<string>
  /** Answers given lately: names repeat. */
  readonly #answers = new Map<string, boolean>()
  /**
   * For each first letter (its low five bits) the set of last ones: tells most other names apart by two bytes. Around `-` and `_`,
   * which do not count, it says nothing.
   */
  readonly #lastByFirst = new Int32Array(32).fill((1 << DASH) | (1 << UNDERSCORE))
  /** 1 at the hash of each name: tells nearly all others apart. */
  readonly #hashes = new Uint8Array(1 << HASH_BITS)

  constructor(additional: readonly string[] = []) {
    this.#names = new Set([...defaultNames, ...additional.map(normalised)].filter(name => name !== ''))
    this.#lastByFirst[DASH] = -1
    this.#lastByFirst[UNDERSCORE] = -1
    for (const name of this.#names) {
      const bytes = Buffer.from(name)
      this.#hashes[hashOf(bytes, 0, bytes.length)] = 1
      this.#lastByFirst[bytes[0]! & 31]! |= 1 << (bytes.at(-1)! & 31)
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

  /** False only if the name in these bytes is none of them, in whatever case. */
  mayHave(bytes: Uint8Array, from: number, to: number): boolean {
    if (((this.#lastByFirst[bytes[from]! & 31]! >>> (bytes[to - 1]! & 31)) & 1) === 0) return false
    return to - from <= NAME_CHARS_MAX && this.#hashes[hashOf(bytes, from, to)] === 1
  }
}

/** Of a name as normalised, if it is ASCII; a name with other letters is only found in the same case. */
function hashOf(bytes: Uint8Array, from: number, to: number): number {
  let hash = 0
  for (let at = from; at < to; at++) {
    const byte = bytes[at]!
    if (byte !== 0x2d && byte !== 0x5f) hash = (Math.imul(hash, 31) + (byte | 0x20)) | 0
  }
  return (hash ^ (hash >>> HASH_BITS)) & ((1 << HASH_BITS) - 1)
}
