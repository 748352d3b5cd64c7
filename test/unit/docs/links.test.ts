// What the documents point at is there: links and their anchors, files of the repository, scripts of npm.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const DOCUMENTS = ['README.md', ...readdirSync(join(ROOT, 'docs')).filter(name => name.endsWith('.md')).map(name => `docs/${name}`)]
const SCRIPTS = (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> }).scripts
/** Of users' own projects, in examples. */
const SCRIPTS_OF_EXAMPLES = ['dev', 'lint']

const textOf = (document: string): string => readFileSync(join(ROOT, document), 'utf8')
const findAll = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([, found]) => found as string)
/** As GitHub makes it. */
const anchorOf = (heading: string): string => heading.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-')
const anchorsOf = (document: string): string[] => findAll(textOf(document), /^#+ (.+)$/gm).map(anchorOf)

function problemOf(document: string, link: string): string | undefined {
  const [file, anchor] = link.split('#') as [string, string?]
  const target = file === '' ? document : join(dirname(document), file)
  if (!existsSync(join(ROOT, target))) return `${link}: no such file`
  return anchor === undefined || anchorsOf(target).includes(anchor) ? undefined : `${link}: no such heading`
}

test.each(DOCUMENTS)('%s: links, files and scripts are there', document => {
  const text = textOf(document)
  const links = findAll(text, /\]\(([^)\s]+)\)/g).filter(link => !/^https?:/.test(link)).flatMap(link => problemOf(document, link) ?? [])
  const files = findAll(text, /(?<![\w/.-])((?:docs|native|profiles|scripts|src|test)\/[\w./-]+\.(?:c|cc|def|h|json|md|mjs|ps1|sbpl|ts))\b/g).filter(file => !existsSync(join(ROOT, file)))
  const scripts = findAll(text, /npm run (?:--silent )?([\w:-]+)/g).map(name => name.replace(/:$/, '')).filter(name => SCRIPTS[name] === undefined && !SCRIPTS_OF_EXAMPLES.includes(name))
  expect({ links, files, scripts }).toEqual({ links: [], files: [], scripts: [] })
})

test('what is not there is found', () => {
  expect([problemOf('README.md', 'docs/nothing.md'), problemOf('docs/cli.md', 'config.md#nothing'), problemOf('docs/cli.md', 'config.md#keys'), problemOf('docs/cli.md', '#exit-code')])
    .toEqual(['docs/nothing.md: no such file', 'config.md#nothing: no such heading', undefined, undefined])
})
