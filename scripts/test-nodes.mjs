// `npm run test:nodes [-- PATTERN…]`: the quick suite (or the test files that match) under each Node that this package supports, from npm's
// own packages of its binaries. Ends with a table, and one line of totals.
import { spawnSync } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { installNode } from './nodes.mjs'
import { main, ROOT, say } from './setup.mjs'

/** The oldest one exactly, and the newest of each line. */
const VERSIONS = ['20.19.0', '22', '24']
/** What depends on Node: the library with real sandboxes, the command line, the package. Not what only kernels decide. */
const QUICK = ['test/unit', 'test/conformance', 'test/package', 'test/agent']

await main(() => {
  const asked = process.argv.slice(2)
  const rows = VERSIONS.map(version => testUnder(installNode(version), asked.length > 0 ? asked : QUICK))
  console.log()
  for (const { node, line } of rows) console.log(`Node ${node.padEnd(9)} ${line}`)
  const sum = word => rows.reduce((all, { line }) => all + Number(new RegExp(`(\\d+) ${word}`).exec(line)?.[1] ?? 0), 0)
  console.log(`${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped`)
  process.exitCode = rows.every(({ ok }) => ok) ? 0 : 1
})

/** What a test starts as `node` is the same one. */
function testUnder(binary, patterns) {
  const env = { ...process.env, PATH: `${join(binary, '..')}${delimiter}${process.env.PATH ?? ''}` }
  const node = spawnSync(binary, ['--version'], { encoding: 'utf8' }).stdout.trim().slice(1)
  say(`\nNode ${node}`)
  const { status, stdout } = spawnSync(binary, [join(ROOT, 'scripts/test.mjs'), ...patterns], { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8', maxBuffer: 1 << 28 })
  process.stdout.write(stdout)
  const line = stdout.split('\n').findLast(each => /^\d+ passed, \d+ failed, \d+ skipped$/.test(each)) ?? 'ended without totals'
  return { node, line, ok: status === 0 }
}
