// The command line as CommonJS: a small file that finds the rest, one with what `--version` needs, one with what every `run` needs (the first again
// among it), and a file for each part that only other verbs load. Node compiles the whole text of a file before its first line runs, so what a
// verb does not use must not stand in its file.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'

/** Loaded by `--version`, and to tell of a mistake, which may be that no file can be opened any more; all that these import statically comes along. */
const USED_BY_VERSION = ['src/cli/print.ts', 'src/cli/in-flags.ts', 'src/host/package-version.ts']
/** Loaded with `await import()` by a `run` without options; all that these import statically comes along. */
const USED_BY_RUN = ['src/cli/run.ts', 'src/cli/print.ts', 'src/cli/in-flags.ts', 'src/cli/report.ts', 'src/platform/linux/native/backend.ts', 'src/platform/linux/native/find-launcher.ts', 'src/platform/linux/native/installed-launcher.ts']

/** A file of several parts: a script whose value is a record of them. Like the others its name changes with its text. */
const fileName = (kind, text) => `${kind}-${createHash('sha256').update(text).digest('hex').slice(0, 8)}.cjs`
export const isRunFile = name => /^every-run-[0-9a-f]{8}\.cjs$/.test(name)

/**
 * CommonJS, because Node starts it 5 to 10 % faster; `import()` of a part of Node would start the loader of ES modules all the same. Names
 * are kept, so that a stack in a bug report can be read. Node's own compile cache is not
 * used: it lies in the temporary folder, where sandboxed commands may write.
 */
const COMMON_JS = { format: 'cjs', platform: 'node', supported: { 'dynamic-import': false }, minifySyntax: true, minifyWhitespace: true, logLevel: 'warning' }

/**
 * @param esbuild  the package
 * @param options  of `build`, without a format; `__filename` becomes the program's own file, and there is no `import.meta.url`
 * @param folder   for the parts, beside the program, as its name
 * @returns { program: text, parts: [{ name, text }], inputs: the names of all source files }
 */
export async function bundleProgram(esbuild, entry, options, folder) {
  const { outputFiles, metafile } = await esbuild.build({
    ...options, entryPoints: [{ in: entry, out: 'program' }], chunkNames: '[name]-[hash]', outExtension: { '.js': '.cjs' }, write: false, metafile: true,
    bundle: true, format: 'esm', splitting: true, platform: 'node', define: { ...options.define, 'import.meta.url': 'undefined' },
  })
  const outputs = new Map(Object.entries(metafile.outputs).map(([path, output]) => [basename(path), output]))
  const missing = [...USED_BY_VERSION, ...USED_BY_RUN].filter(path => ![...outputs.values()].some(({ entryPoint }) => entryPoint === path))
  if (missing.length > 0) throw new Error(`${missing.join(', ')}: not loaded with \`await import()\` any more; mend the tables in scripts/bundle-program.mjs`)
  const namesOf = entries => [...outputs].filter(([, { entryPoint }]) => entries.includes(entryPoint)).map(([name]) => name)
  const ofVersion = usedBy(namesOf([entry, ...USED_BY_VERSION]), outputs)
  const ofRun = usedBy(namesOf(USED_BY_RUN), outputs)
  const transform = async text => (await esbuild.transform(text, { ...COMMON_JS, target: options.target })).code.replace(/^"use strict";/, '').trim()
  const [inVersion, inRun, parts] = [[], [], []]
  for (const { path, text } of outputFiles) {
    const name = basename(path)
    const body = `(function(exports,require,module,__filename){${await transform(text)}\n})`
    if (ofVersion.has(name)) inVersion.push([name, body])
    if (ofVersion.has(name) || ofRun.has(name)) inRun.push([name, body])
    else parts.push({ name, text: `"use strict";module.exports=${body};\n` })
  }
  const script = bodies => ascii(`"use strict";({\n${bodies.map(([name, body]) => `${JSON.stringify(name)}:${body}`).join(',\n')}\n});\n`)
  const files = { VERSION: { kind: 'version', bodies: inVersion }, RUN: { kind: 'every-run', bodies: inRun } }
  const known = Object.entries(files).map(([constant, { kind, bodies }]) => {
    const text = script(bodies)
    parts.push({ name: fileName(kind, text), text })
    return `${constant}=${JSON.stringify({ file: fileName(kind, text), parts: bodies.map(([name]) => name) })}`
  })
  const loader = await transform(readFileSync(new URL('program-loader.cjs', import.meta.url), 'utf8'))
  return { program: `#!/usr/bin/env node\n"use strict";\nconst FOLDER=${JSON.stringify(folder)},${known.join(',')};\n${loader}\n`, parts, inputs: Object.keys(metafile.inputs) }
}

/** One byte a character: read without decoding. */
function ascii(text) {
  if (!/^[\x00-\x7f]*$/.test(text)) throw new Error('the text of several parts is not ASCII, which scripts/program-loader.cjs takes it for')
  return text
}

/** These outputs and all that they import statically. */
function usedBy(names, outputs, found = new Set()) {
  for (const name of names) {
    if (found.has(name)) continue
    found.add(name)
    const next = outputs.get(name).imports.filter(({ kind, external }) => kind === 'import-statement' && !external).map(({ path }) => basename(path))
    usedBy(next, outputs, found)
  }
  return found
}
