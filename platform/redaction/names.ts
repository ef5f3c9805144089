import { NameTable } from './name-table.ts'

/** Names of headers, query parameters and JSON members whose values are secrets. */
const defaultNames = [
  // headers
  'authentication',
  'authorization',
  'proxyauthorization',
  'xforwardedauthorization',
  'cookie',
  'cookie2',
  'setcookie',
  'setcookie2',
  'xapikey',
  'xauthtoken',
  'xaccesstoken',
  'xcsrftoken',
  'xxsrftoken',
  'xsessionid',
  'xsessiontoken',
  'xamzsecuritytoken',
  'xamzcredential',
  'xamzfirehoseaccesskey',
  'xamzsignature',
  'xamznoidcdata',
  'xamznoidcaccesstoken',
  'xawswaftoken',
  'awswaftoken',
  'xgoogiapjwtassertion',
  'cfaccessjwtassertion',
  // parameters
  'accesskey',
  'accesstoken',
  'apikey',
  'apitoken',
  'assertion',
  'auth',
  'authtoken',
  'awssecretaccesskey',
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
  'pass',
  'passphrase',
  'passwd',
  'password',
  'passwordconfirmation',
  'phpsessid',
  'pin',
  'privatekey',
  'pwd',
  'refreshtoken',
  'resettoken',
  'samlresponse',
  'secret',
  'secretaccesskey',
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

/** Parameters, headers and cookies with these names hold secrets (an OAuth code, an API key); JSON members do not: `http_response.code`. */
const parameterNames = ['code', 'key'] as const

/** Names that also stand for objects of which most is no secret: `session` and `signature` of OCSF, volumes of Kubernetes. */
const objectNames: ReadonlySet<string> = new Set(['session', 'signature', 'secret'])

/** What the key of a member can mean. */
export const SECRET = 1
/** Its string is the name of what the values beside it are. */
export const NAMES_VALUE = 2
/** Its string is the place in a request where the values beside it were found. */
const NAMES_PLACE = 4
/** The same without a word on which header: what was found in any header may be a secret. */
const NAMES_MATCH = 8
/** With SECRET: also everything in an object is one. */
export const WHOLE = 16

/**
 * With `isValueKey`, the one table of what makes the value of a member a secret, in whatever form an event is: either its own key is a
 * secret's name; or a member beside it, with a key of this table, says what the object's values are.
 */
const namingKeys: readonly (readonly [key: string, role: number])[] = [
  // Headers, tags.
  ['name', NAMES_VALUE],
  // rateBasedRuleList[].customValues of AWS WAF: `{key: COOKIE, name, value}`.
  ['key', NAMES_VALUE],
  // Match details of AWS WAF: the header or parameter, and what part of the request.
  ['matchedFieldName', NAMES_VALUE],
  ['location', NAMES_PLACE],
  // The same in firewall_rule of OCSF, which has no place for the header's name.
  ['match_location', NAMES_MATCH],
]

/** Keys of values that another member names: `value`, `myValue`, `matchedData` of AWS WAF, `match_details` of OCSF. */
export function isValueKey(key: string): boolean {
  return /(?:value|^\s*matched[-_]?data|^\s*match[-_]?details)\s*$/i.test(key)
}

/** COOKIE, COOKIES, SINGLE_COOKIE: whatever is in a cookie is a secret. */
const secretPlace = /cookie/i
const secretMatch = /cookie|header/i

export class SecretNames {
  /** What the key `name` means. */
  readonly rolesOfName: number
  readonly #keys: NameTable
  readonly #parameters: NameTable

  /** `additional`: further names of headers, parameters and members. */
  constructor(additional: readonly string[] = []) {
    const secrets = [...defaultNames, ...additional].map((name): [string, number] => [
      name,
      objectNames.has(name) ? SECRET : SECRET | WHOLE,
    ])
    this.#keys = new NameTable([...namingKeys, ...secrets])
    this.#parameters = new NameTable([...secrets, ...parameterNames.map((name): [string, number] => [name, SECRET])])
    this.rolesOfName = this.keyRoles('name')
  }

  /** What the key of a member means, as bits. */
  keyRoles(key: string): number {
    return this.#keys.of(key)
  }

  keyRolesOfBytes(bytes: Uint8Array, from: number, to: number): number {
    return this.#keys.ofBytes(bytes, from, to)
  }

  /** Of a header, cookie or parameter. */
  isParameter(name: string): boolean {
    return this.#parameters.of(name) !== 0
  }

  isParameterInBytes(bytes: Uint8Array, from: number, to: number): boolean {
    return this.#parameters.ofBytes(bytes, from, to) !== 0
  }

  /** Whether the string of a member with these roles, alone or in a list, says that the values beside it are secrets. */
  isNaming(roles: number, text: string): boolean {
    return (
      ((roles & NAMES_VALUE) !== 0 && this.isParameter(text)) ||
      ((roles & NAMES_PLACE) !== 0 && secretPlace.test(text)) ||
      ((roles & NAMES_MATCH) !== 0 && secretMatch.test(text))
    )
  }
}
