// `npm start -- COMMAND…`: runs a command in a workspace-write sandbox of the folder that npm was called from. Sets up the clone first.
import { existsSync } from 'node:fs'
import { delimiter, join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { readySteps } from './build.mjs'
import { checkNode, main, ROOT, runSteps, say, SET_UP_FAILED } from './setup.mjs'

const USAGE = `usage: npm start -- COMMAND [ARGUMENT…]     run a command in a sandbox of this folder, such as: npm start -- git status
       npm start -- --help                   the options, which go before COMMAND, with -- between: npm start -- --timeout 9s -- make`

/** The verbs of the command line, which are no programs. As a program's name they are taken where there is one. */
const VERBS = ['run', 'sandbox', 'explain', 'learn', 'execpolicy', 'debug-config', 'doctor', 'setup', 'app-server', 'windows', 'sessions', 'help']

const isProgram = name => (process.env.PATH ?? '').split(delimiter).some(folder => folder !== '' && existsSync(join(folder, name)))

/** A shell takes it as it was. */
const shown = word => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll('\'', '\'\\\'\'')}'`

await main(async () => {
  checkNode()
  const words = process.argv.slice(2)
  if (words.length === 0) {
    say(USAGE)
    process.exit(SET_UP_FAILED)
  }
  await runSteps(readySteps())

  const folder = process.env.INIT_CWD ?? process.cwd()
  forgetNpm()
  process.chdir(folder)
  // In this very process, so that exit code, signals and the terminal are the command's own.
  const cli = join(ROOT, 'dist/cli.cjs')
  if (VERBS.includes(words[0]) && !isProgram(words[0])) {
    say(`codex-sandbox: ${words[0]} is a verb of the command line, and npm start runs a program. Write: node ${relative(folder, cli) || cli} ${words.map(shown).join(' ')}`)
    process.exit(SET_UP_FAILED)
  }
  process.argv = [process.execPath, cli, 'run', '-C', folder, ...(words[0].startsWith('-') ? [] : ['--']), ...words]
  await import(pathToFileURL(cli).href)
})

/** The command shall see the environment that npm was called with. */
function forgetNpm() {
  for (const name of Object.keys(process.env)) {
    if (/^npm_(lifecycle|package|execpath|node_execpath|command|config_local_prefix)/.test(name) || name === 'INIT_CWD') delete process.env[name]
  }
  // npm puts the .bin folders of ROOT and its parents in front, and a folder of its own.
  const added = entry => /[\\/]node_modules[\\/](\.bin|@npmcli[\\/]run-script[\\/].*node-gyp-bin)$/.test(entry)
  const entries = (process.env.PATH ?? '').split(delimiter)
  process.env.PATH = entries.slice(Math.max(0, entries.findIndex(entry => !added(entry)))).join(delimiter)
}
