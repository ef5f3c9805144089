import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { untrusted } from '../../platform/untrusted.ts'

describe('untrusted text', () => {
  it('leaves ordinary text of any script as it is', () => {
    for (const text of ['GET /search?q=1', '해태', 'naïve café', '日本語', '🦁', 'עברית', '%00 \\n']) {
      expect(untrusted(text)).toBe(text)
    }
  })

  it('shows terminal sequences instead of letting them act', () => {
    expect(untrusted('\u001b[2J\u001b]0;title\u0007')).toBe('\\x1b[2J\\x1b]0;title\\x07')
    expect(untrusted('\u009b31m')).toBe('\\x9b31m')
    expect(untrusted('a\u0000b\u007f')).toBe('a\\x00b\\x7f')
  })

  it('keeps everything on one line', () => {
    expect(untrusted('a\r\nb\tc\u2028d\u2029e\u0085f')).toBe('a\\r\\nb\\tc\\u2028d\\u2029e\\x85f')
  })

  it('shows marks that reorder or hide text', () => {
    expect(untrusted('\u202egpj.exe')).toBe('\\u202egpj.exe')
    expect(untrusted('ad\u2066min\u2069')).toBe('ad\\u2066min\\u2069')
    expect(untrusted('pay\u200bpal')).toBe('pay\\u200bpal')
    expect(untrusted('a\u{e0041}b')).toBe('a\\u{e0041}b')
    expect(untrusted('\ufeffa')).toBe('\\ufeffa')
  })

  it('shows half a surrogate pair, which cannot be encoded', () => {
    expect(untrusted('a\ud83db')).toBe('a\\ud83db')
  })

  it('never lets a control, separator or bidirectional mark through, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), text => {
        expect(untrusted(text)).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u)
      }),
    )
  })
})
