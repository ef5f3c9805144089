import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodings } from '../../../detections/sigma/decode.ts'
import { fold } from '../../../detections/sigma/fold.ts'
import { type Literal, LiteralSearch } from '../../../detections/sigma/literals.ts'

type Texts = readonly string[]

function literalsOf(texts: Texts, place: Literal['place'] = 'inside'): Literal[] {
  return texts.map((text, id) => ({ id, text: fold(text), place }))
}

function foundIn(search: LiteralSearch, texts: Texts): Set<number> {
  const found = new Set<number>()
  for (const text of texts) search.search(text, id => found.add(id))
  return found
}

/** Undefined: the search asks for the text. */
function foundDecoded(search: LiteralSearch, text: string): Set<number> | undefined {
  const bytes = Buffer.from(text)
  const found = new Set<number>()
  return search.searchDecoded(bytes, 0, bytes.length, text.indexOf('%'), id => found.add(id)) ? found : undefined
}

const alphabet = [
  'a',
  'b',
  'K',
  's',
  '/',
  '-',
  '%61',
  '%62',
  '%2f',
  '%EB%AC%B4',
  '%C3%A9',
  '%FF',
  '%e2%84%aa',
  '%c5%bf',
]
const literal = fc.string({ unit: fc.constantFrom('a', 'b', 'k', 's', '/', 'é', 'ſ'), minLength: 1, maxLength: 5 })
const haystack = fc.string({ unit: fc.constantFrom(...alphabet, '%', '%25', '%2561', '\\'), maxLength: 40 })

describe('a search of what percent signs hide', () => {
  test('finds, with what stands there as it is, all that the decoded texts have, or asks for them', () => {
    let answered = 0
    fc.assert(
      fc.property(fc.array(literal, { minLength: 1, maxLength: 6 }), haystack, (texts, text) => {
        if (!text.includes('%')) return
        const search = new LiteralSearch(literalsOf(texts))
        const found = foundDecoded(search, text)
        if (!found) return
        answered++
        const variants = decodings(text, 'text')
        const all = foundIn(search, variants)
        expect(new Set([...foundIn(search, [text]), ...found])).toEqual(all)
      }),
      { numRuns: 3_000 },
    )
    expect(answered).toBeGreaterThan(100)
  })

  test('finds a literal that begins long before the first sign and ends behind the last one', () => {
    const search = new LiteralSearch(literalsOf(['union select password from', 'x']))
    const text = `${'-'.repeat(200)}union sel%65ct password%20from${'-'.repeat(200)}`
    expect(foundDecoded(search, text)).toEqual(new Set([0]))
  })

  test.each([
    ['encoded twice', '%2561'],
    ['that encodes nothing', 'a%zz'],
    ['cut off', 'a%6'],
    ['beside an escape of JSON', '%61\\"%61'],
    ['that may encode a letter of some literal beyond ASCII', '%c3%a9'],
    ['that encodes one for another case of which a literal has a letter', '%e2%84%aa'],
  ])('asks for the text of a sign %s', (_, text) => {
    const search = new LiteralSearch(literalsOf(['a', 'é', 'k']))
    expect(foundDecoded(search, text)).toBeUndefined()
  })
})

describe('a search of a string as it stands', () => {
  test('finds what the search of its text finds, each in its place, or asks for the text', () => {
    const place = fc.constantFrom('whole' as const, 'start' as const, 'end' as const, 'inside' as const)
    fc.assert(
      fc.property(fc.array(literal, { minLength: 1, maxLength: 6 }), place, haystack, (texts, where, text) => {
        const search = new LiteralSearch(literalsOf(texts, where))
        const bytes = Buffer.from(`"${text}"`)
        const found = new Set<number>()
        const all = foundIn(search, [text])
        if (search.searchString(bytes, 1, bytes.length - 1, id => found.add(id))) expect(found).toEqual(all)
        else expect(text).toMatch(/[%\\]/)
      }),
      { numRuns: 2_000 },
    )
  })
})
