// Attacks the supervised rung: calls whose paths, descriptors and directories other threads change meanwhile, in each of four settings.
// Looks at the closed files from outside, before and after; ends with 1 where anything differs.
// Run: node scripts/attack-supervised.mjs [--attempts 1000000] [--seconds 3600]   (in all; what comes first ends it)
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { spawnSync } from 'node:child_process'
import { checkNode, main, ROOT, say, SetUpError } from './setup.mjs'

const SETTINGS = ['protected', 'denied'].flatMap(secret => [false, true].map(granted => ({ secret, granted })))

await main(async () => {
  checkNode()
  if (process.platform !== 'linux') throw new SetUpError('the supervised rung is Linux\'s.')
  const { values } = parseArgs({ options: { attempts: { type: 'string', default: '1000000' }, seconds: { type: 'string', default: '3600' } } })
  const [attempts, seconds] = [Number(values.attempts), Number(values.seconds)]
  if (!(attempts > 0 && seconds > 0)) throw new SetUpError('--attempts and --seconds are numbers above 0.')
  mkdirSync(join(ROOT, 'build'), { recursive: true })
  const program = join(ROOT, 'build', 'race-files')
  const compiled = spawnSync('gcc', ['-D_GNU_SOURCE', '-O2', '-pthread', '-o', program, join(ROOT, 'test/escape/programs/race-files.c')], { stdio: 'inherit' })
  if (compiled.status !== 0) throw new SetUpError('gcc could not build the attacker.')
  // Beside the package's own code, so that the launcher is found.
  const outfile = join(ROOT, 'dist', 'attack-supervised.mjs')
  await (await import('esbuild')).build({ absWorkingDir: ROOT, entryPoints: ['test/support/supervised-attack.ts'], outfile, bundle: true, platform: 'node', format: 'esm', target: 'node20.19', logLevel: 'error' })
  const { attackSupervised } = await import(pathToFileURL(outfile).href)
  rmSync(outfile)

  const { before, after } = await attackSupervised({ program, attempts: 20_000, seconds: 5, sandboxed: false, secret: 'protected', granted: false })
  if (before === after) throw new Error('without a sandbox nothing was changed: this attacks nothing')
  say('without a sandbox: changed')

  const started = performance.now()
  const all = { attempts: 0, succeeded: 0 }
  for (const [index, { secret, granted }] of SETTINGS.entries()) {
    const left = SETTINGS.length - index
    const elapsed = (performance.now() - started) / 1000
    const { counted, before, after } = await attackSupervised({
      program, sandboxed: true, secret, granted, attempts: Math.ceil((attempts - all.attempts) / left), seconds: Math.max(1, Math.ceil((seconds - elapsed) / left)),
    })
    all.attempts += counted.attempts
    all.succeeded += counted.succeeded
    const held = before === after && counted.reached === 0 && !counted.failed
    say(`secret ${secret}, the attacker's folders ${granted ? 'there before' : 'made inside'}: ${counted.attempts} attempts, ${counted.succeeded} calls succeeded, ${counted.exchanges} exchanges: ${held ? 'nothing closed was changed' : 'CHANGED'}`)
    if (held) continue
    say(`${counted.reached} descriptors of closed files\nbefore:\n${before}after:\n${after}`)
    process.exitCode = 1
  }
  say(`${all.attempts} attempts in ${Math.round((performance.now() - started) / 1000)} s, as ${process.getuid() === 0 ? 'root' : 'a user'}`)
})
