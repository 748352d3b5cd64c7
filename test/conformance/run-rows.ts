// Run in a process of its own, as another user: tries the rows whose numbers are in ROWS, one after another, and answers each with what came of it.
import { TABLE } from './table.js'
import { tryRow } from './try-row.js'
import { answer } from '../support/user-answers.js'

const ALL = TABLE.flatMap(group => group.rows.map(row => ({ group, row })))

for (const index of JSON.parse(process.env['ROWS'] ?? '') as readonly number[]) {
  const { group, row } = ALL[index] as (typeof ALL)[number]
  answer(String(index), await tryRow(group, row, { name: 'as it is chosen here' }).catch((error: unknown) => ({ verdict: 'failed', changed: [String(error)] })))
}
