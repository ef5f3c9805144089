/**
 * Texts are compared without regard to case as Unicode's simple case folding does it: one character for one, whatever stands
 * beside it. (`toLowerCase` alone takes a final sigma for another letter, and makes two characters of one İ.)
 */
const NOT_ASCII = /[^\0-\x7f]/

export function fold(text: string): string {
  if (!NOT_ASCII.test(text)) return text.toLowerCase()
  let folded = ''
  for (const char of text) folded += foldCharacter(char)
  return folded
}

/** The dotless ı has a capital that looks like that of i, but is another letter. */
const DOTLESS_I = 'ı'

/** Keeps the number of code units, so that places in a folded text are places in the text. */
function foldCharacter(char: string): string {
  if (char === DOTLESS_I) return char
  const upper = char.toUpperCase()
  const lower = (upper.length === char.length ? upper : char).toLowerCase()
  return lower.length === char.length ? lower : char
}

let families: ReadonlyMap<string, readonly number[]> | undefined

/** Code units beyond ASCII that fold to this character of one code unit, itself among them. */
export function unitsFoldingTo(folded: string): readonly number[] {
  families ??= allFamilies()
  return families.get(folded) ?? []
}

function allFamilies(): Map<string, number[]> {
  const found = new Map<string, number[]>()
  for (let code = 128; code <= 0xffff; code++) {
    const folded = foldCharacter(String.fromCharCode(code))
    const family = found.get(folded)
    if (family) family.push(code)
    else found.set(folded, [code])
  }
  return found
}
