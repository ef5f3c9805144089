import { topicsContract } from './contract.ts'
import { openTemporary } from './temporary.ts'

topicsContract('embedded', async () => (await openTemporary()).topics)
