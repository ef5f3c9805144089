import { rm, utimes, writeFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import type { GeoIp } from '../../../platform/geoip/geoip.ts'
import { geoIpStatus, shareGeoIp } from '../../../platform/geoip/shared.ts'
import { cityFile, file, observed, open, replace, settings, town } from '../../support/geoip.ts'

describe('reloading', () => {
  /** Two looks: one sees the change, the next that it has settled. */
  const twice = async (geoIp: GeoIp) => {
    await geoIp.check()
    await geoIp.check()
  }

  it('takes a file that was renamed over the old one, and one written in place', async () => {
    const path = await file(cityFile('Seoul'))
    const { geoIp } = await open({ city: [path], asn: [] })
    expect(town(geoIp)).toBe('Seoul')
    await replace(path, cityFile('Busan'))
    await geoIp.check()
    expect(town(geoIp)).toBe('Seoul')
    await geoIp.check()
    expect(town(geoIp)).toBe('Busan')
    await writeFile(path, cityFile('Incheon, longer'))
    await twice(geoIp)
    expect(town(geoIp)).toBe('Incheon, longer')
  })

  it('happens by itself, at the given pace', async () => {
    const path = await file(cityFile('Seoul'))
    const { geoIp, clock } = await open({ city: [path], asn: [] })
    await replace(path, cityFile('Busan'))
    for (let looks = 0; looks < 200 && town(geoIp) === 'Seoul'; looks++) {
      await clock.advance(10_000)
      await new Promise(resolve => setTimeout(resolve, 5))
    }
    expect(town(geoIp)).toBe('Busan')
  })

  it('waits while the file still grows', async () => {
    const path = await file(cityFile('Seoul'))
    const { geoIp, lines } = await open({ city: [path], asn: [] })
    const next = cityFile('Busan, with a longer name')
    for (const part of [100, 150, 200]) {
      await writeFile(path, next.subarray(0, part))
      await geoIp.check()
    }
    await writeFile(path, next)
    await twice(geoIp)
    expect(town(geoIp)).toBe('Busan, with a longer name')
    expect(lines.filter(line => line.startsWith('error'))).toEqual([])
  })

  it('refuses a corrupt file: the old database stays in use, visible, until a good one comes', async () => {
    const path = await file(cityFile('Seoul'))
    const { geoIp, lines, metrics } = await open({ city: [path], asn: [] })
    await replace(path, cityFile('Busan').subarray(0, 200))
    await twice(geoIp)
    await twice(geoIp)
    expect(town(geoIp)).toBe('Seoul')
    expect(geoIp.status()).toMatchObject([
      { state: 'reload_failed', message: expect.stringMatching(/cannot be used.*stays in use/) as string },
    ])
    expect(await metrics.expose()).toContain('haetae_geoip_database_state{database="city_0",state="reload_failed"} 1')
    expect(await metrics.expose()).toContain('haetae_geoip_database_state{database="city_0",state="ok"} 0')
    expect(lines.filter(line => line.startsWith('error'))).toHaveLength(1)
    await replace(path, cityFile('Busan'))
    await twice(geoIp)
    expect(town(geoIp)).toBe('Busan')
    expect(geoIp.status()).toMatchObject([{ state: 'ok', message: undefined }])
    expect(await metrics.expose()).toContain('haetae_geoip_database_state{database="city_0",state="reload_failed"} 0')
  })

  it('keeps the old database when its file is gone, visibly, and takes the file when it is back', async () => {
    const path = await file(cityFile('Seoul'))
    const { geoIp, lines } = await open({ city: [path], asn: [] })
    await rm(path)
    await twice(geoIp)
    expect(town(geoIp)).toBe('Seoul')
    expect(geoIp.status()).toMatchObject([
      { state: 'missing', message: expect.stringContaining('put the file back') as string },
    ])
    expect(lines.filter(line => line.startsWith('error'))).toHaveLength(1)
    await writeFile(path, cityFile('Busan'))
    await twice(geoIp)
    expect(town(geoIp)).toBe('Busan')
    expect(geoIp.status()[0]?.state).toBe('ok')
  })

  it('a large file that is overwritten in place answers failed, never wrongly, until it is read again', async () => {
    const large = (town: string) => {
      const bytes = cityFile(town)
      // Data nobody points to, between the records and the metadata.
      const marker = bytes.lastIndexOf(Buffer.from('abcdef4d61784d696e642e636f6d', 'hex'))
      return Buffer.concat([bytes.subarray(0, marker), Buffer.alloc(5 * 1024 * 1024), bytes.subarray(marker)])
    }
    const path = await file(large('Seoul'))
    await utimes(path, 1_790_000_000, 1_790_000_000)
    const { geoIp, lines } = await open({ city: [path], asn: [] })
    expect(geoIp.status()[0]?.state).toBe('ok')
    await writeFile(path, large('Busan'))
    // Of this little tree every block is in memory already; the answer is of the file that was opened, or none.
    expect(['Seoul', undefined]).toContain(town(geoIp))
    await twice(geoIp)
    expect(town(geoIp)).toBe('Busan')
    await replace(path, large('Incheon'))
    expect(town(geoIp, '1.9.9.9')).toBe('Busan')
    await twice(geoIp)
    expect(town(geoIp, '1.9.9.9')).toBe('Incheon')
    expect(lines.filter(line => line.startsWith('error'))).toEqual([])
  })

  it('follows CSV ranges as well', async () => {
    const path = await file('1.0.0.0,1.0.0.255,1,A')
    const { geoIp } = await open({ city: [], asn: [path] })
    expect(geoIp.lookup('1.0.0.1').autonomousSystem).toEqual({ number: 1, name: 'A' })
    await replace(path, '1.0.0.0,1.0.0.255,2,B\n')
    await twice(geoIp)
    expect(geoIp.lookup('1.0.0.1').autonomousSystem).toEqual({ number: 2, name: 'B' })
  })

  it('stops with close', async () => {
    const path = await file(cityFile('Seoul'))
    const { geoIp, clock } = await open({ city: [path], asn: [] })
    await geoIp.close()
    expect(clock.sleeping).toBe(0)
  })
})

describe('sharing', () => {
  it('opens the same databases once, and closes them after the last user', async () => {
    const deps = observed()
    const options = { ...settings, city: [await file(cityFile('Seoul'))], asn: [] }
    const [first, second] = await Promise.all([shareGeoIp(options, deps), shareGeoIp(options, deps)])
    expect(first.geoIp).toBe(second.geoIp)
    expect((await geoIpStatus()).map(status => status.path)).toEqual(options.city)
    await first.release()
    await first.release()
    expect(await geoIpStatus()).toHaveLength(1)
    await second.release()
    expect(await geoIpStatus()).toEqual([])
    expect(deps.clock.sleeping).toBe(0)
  })

  it('leaves nothing behind when opening fails, and tries again the next time', async () => {
    const path = await file('broken')
    const options = { ...settings, city: [path], asn: [] }
    await expect(shareGeoIp(options, observed())).rejects.toThrow(/cannot be used/)
    await writeFile(path, cityFile('Seoul'))
    const { geoIp, release } = await shareGeoIp(options, observed())
    expect(town(geoIp)).toBe('Seoul')
    await release()
  })
})
