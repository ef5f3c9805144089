import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Needle, NeedleKernel, UNTOLD } from '../../../platform/json/needle-kernel.ts'

function kernelOf(texts: readonly string[]): NeedleKernel {
  const needles = texts.map((text, id): Needle => ({ text, id }))
  const kernel = NeedleKernel.of(needles, [0xe2, 0xc0])
  if (!kernel) throw new Error('there is no kernel for these texts')
  return kernel
}

const BEFORE = '../'

/** What it found, and what it said; the range has other bytes around it. */
function found(kernel: NeedleKernel, range: string | Buffer): { readonly ids: number[]; readonly said: number } {
  const inner = Buffer.from(range)
  const bytes = Buffer.concat([Buffer.from(BEFORE), inner, Buffer.from('etc/passwd')])
  const ids = new Set<number>()
  const said = kernel.search(bytes, 3, 3 + inner.length, id => ids.add(id))
  return { ids: [...ids].sort((a, b) => a - b), said }
}

function lower(text: string): string {
  return text.replace(/[A-Z]/g, letter => letter.toLowerCase())
}

/** One of the texts, with a letter of it in upper case or none. */
function upperAt(texts: readonly string[], at: number): string {
  const text = texts[at % texts.length]!
  const letter = at % (text.length + 1)
  return text.slice(0, letter) + text.slice(letter, letter + 1).toUpperCase() + text.slice(letter + 1)
}

/** Characters that one bit keeps apart are among them, and what stands for something in JSON. */
const units = [...'aAbB@`[{_/.%-'.split(''), '\\"', '\\\\', ' ']
const needle = fc.string({ unit: fc.constantFrom(...units.map(lower)), minLength: 2, maxLength: 8 })

describe('the search for many texts at once', () => {
  test('finds exactly the texts that are there, whatever the case, wherever they stand', () => {
    let hits = 0
    const property = fc.property(
      fc.array(needle, { minLength: 1, maxLength: 30 }),
      fc.array(fc.array(fc.oneof(fc.nat(), fc.string({ unit: fc.constantFrom(...units), maxLength: 30 }))), {
        minLength: 1,
        maxLength: 6,
      }),
      (texts, ranges) => {
        const kernel = kernelOf(texts)
        for (const parts of ranges) {
          const range = parts.map(part => (typeof part === 'string' ? part : upperAt(texts, part))).join('')
          const wanted = [...texts.keys()].filter(at => lower(range).includes(texts[at]!))
          const { ids, said } = found(kernel, range)
          expect(ids).toEqual(wanted)
          expect(said).toBe(range.includes('%') ? 1 : 0)
          hits += wanted.length
        }
      },
    )
    fc.assert(property, { numRuns: 500 })
    expect(hits).toBeGreaterThan(500)
  })

  test('finds a text at every place of a long range, the first and the last among them', () => {
    const kernel = kernelOf(['${', '.git/config'])
    for (let at = 0; at <= 80; at++) {
      for (const [id, text] of ['${', '.GIT/config'].entries()) {
        expect(found(kernel, 'x'.repeat(at) + text + 'y'.repeat(80 - at)).ids).toEqual([id])
      }
    }
  })

  test('finds nothing across the ends of the range', () => {
    const kernel = kernelOf(['../etc', 'etc/passwd', '/e'])
    expect(found(kernel, 'etc/').ids).toEqual([])
    expect(found(kernel, '').ids).toEqual([])
  })

  test.each([
    ['a byte with which a character of some text begins', Buffer.from('/../\u212a')],
    ['bytes that are no UTF-8', Buffer.from([0x2f, 0xc0, 0xaf])],
    ['an escape by number', String.raw`/\u002e./`],
    ['an escaped solidus', String.raw`\/etc\/passwd`],
    ['an escaped line feed', String.raw`a\nb`],
    ['an odd escape behind an escaped backslash', String.raw`\\\n`],
    ['half an escape at the end', 'a\\'],
    ['more than it has room for', 'a'.repeat(0x8001)],
    ['more finds than it notes', '/etc/passwd'.repeat(300)],
    ['what is made to be compared for ever', '/etc/passw_'.repeat(1_200)],
  ])('does not tell of %s, and has found nothing then', (_, range) => {
    expect(found(kernelOf(['/etc/passwd', '${']), range)).toEqual({ ids: [], said: UNTOLD })
  })

  test('looks past other characters beyond ASCII', () => {
    expect(found(kernelOf(['/etc/passwd', '${']), '우리집/ETC/passwd📱')).toEqual({ ids: [0], said: 0 })
  })

  test('tells of as much as it has room for', () => {
    expect(found(kernelOf(['needle']), `${'a'.repeat(0x8000 - 6)}NEEDLE`)).toEqual({ ids: [0], said: 0 })
  })

  test('reads pairs of backslashes as such: what follows them is no escape', () => {
    const kernel = kernelOf(['needle'])
    for (let before = 0; before < 20; before++) {
      expect(found(kernel, `${'a'.repeat(before)}${'\\\\'.repeat(9)}needle\\"`)).toEqual({ ids: [0], said: 0 })
    }
  })

  test('of a long text a part is compared: it is found where it is, and not where that part is another', () => {
    const text = `${'a'.repeat(3000)}/x../${'b'.repeat(1000)}`
    const kernel = kernelOf([text])
    expect(found(kernel, `..${text}..`).ids).toEqual([0])
    expect(found(kernel, `..${text.replaceAll('/x', '/y')}..`).ids).toEqual([])
  })

  test('is not made for a text of one character, or for more texts than there is room for', () => {
    expect(NeedleKernel.of([{ text: ';', id: 0 }], [])).toBeUndefined()
    expect(
      NeedleKernel.of(
        Array.from({ length: 4000 }, (_, id) => ({ text: `text ${id}`, id })),
        [],
      ),
    ).toBeUndefined()
    expect(NeedleKernel.of([{ text: 'id too large', id: 65_536 }], [])).toBeUndefined()
  })
})
