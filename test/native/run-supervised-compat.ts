// Run in a process of its own, as another user: each row, and what it printed as a line of JSON.
import { COMPAT_ROWS, runRow, startCompat } from '../support/supervised-compat.js'

const place = await startCompat()
for (const row of COMPAT_ROWS) process.stdout.write(`${JSON.stringify(await runRow(place, row))}\n`)
await place.close()
