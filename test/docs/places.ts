// What a document's examples find when they start, beside an empty workspace and a home with a token.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Start {
  readonly work: string
  readonly home: string
  /** Starts a program on the host; resolves with its first line. */
  start(argv: readonly string[]): Promise<string>
}

const REGISTRY = fileURLToPath(new URL('../support/npm-registry.mjs', import.meta.url))

export interface Prepared {
  /** Default: the workspace. */
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
}

/** Writes into the workspace and the home. */
export const PLACES: Readonly<Record<string, (place: Start) => Promise<Prepared> | Prepared>> = {
  'README.md': ({ home }) => {
    const cwd = join(home, 'project')
    for (const folder of [cwd, join(home, 'cache'), join(home, 'other')]) mkdirSync(folder)
    writeFileSync(join(cwd, 'package.json'), JSON.stringify({ name: 'project', scripts: { test: 'true' } }))
    writeFileSync(join(cwd, '.env'), '')
    writeFileSync(join(cwd, 'Makefile'), 'all:\n\t: > ../cache/made; ! cat .env 2>/dev/null\n')
    return { cwd }
  },
  /** The two files in their places. */
  'docs/config.md': ({ work, home }) => {
    for (const [from, folder] of [['user.toml', home], ['project.toml', work]] as const) {
      mkdirSync(join(folder, '.codex'))
      writeFileSync(join(folder, '.codex/config.toml'), readFileSync(join(work, from), 'utf8').replaceAll('/work', work))
    }
    mkdirSync(join(work, '.git'))
    return {}
  },
  'docs/migrating.md': ({ work }) => {
    mkdirSync(join(work, 'secrets'))
    writeFileSync(join(work, 'secrets/key'), 'secret\n')
    return {}
  },
  /** A small project with a server in a repository, and a registry of the host's with one package. */
  'docs/agents.md': async ({ work, home, start }) => {
    writeFileSync(join(work, 'package.json'), JSON.stringify({ name: 'project', version: '1.0.0', type: 'module' }))
    writeFileSync(join(work, 'server.js'), `import { createServer } from 'node:http'
createServer((request, response) => response.end('hello from inside')).listen(3000, '127.0.0.1', () => console.log('ready'))
`)
    execFileSync('git', ['init', '--quiet', work])
    return { env: { npm_config_registry: `http://127.0.0.1:${await startRegistry(join(home, 'packages'), start)}/` } }
  },
}

/** With the package `greeting`, which exports a text. @returns its port */
async function startRegistry(folder: string, start: Start['start']): Promise<number> {
  mkdirSync(join(folder, 'greeting'), { recursive: true })
  writeFileSync(join(folder, 'greeting/package.json'), JSON.stringify({ name: 'greeting', version: '1.2.3', type: 'module', exports: './index.js' }))
  writeFileSync(join(folder, 'greeting/index.js'), 'export const greeting = \'hello from a package\'\n')
  return Number(/\d+$/.exec(await start([process.execPath, REGISTRY, '0', folder]))?.[0])
}
