// The command line as CommonJS: one file with what every `run` needs, and a file for each part that only other verbs load. Node compiles the
// whole text of a file before its first line runs, so what a verb does not use must not stand in its file.
import { basename } from 'node:path'

/** Loaded with `await import()` by a `run` without options; all that these import statically comes along. */
const USED_BY_RUN = ['src/cli/run.ts', 'src/cli/print.ts', 'src/cli/report.ts', 'src/platform/linux/native/backend.ts', 'src/platform/linux/native/find-launcher.ts']

/**
 * CommonJS, because Node starts it 5 to 10 % faster; `import()` of a part of Node would start the loader of ES modules all the same. Names
 * are kept, so that a stack in a bug report can be read. No compile cache: Node's lies in the temporary folder, where sandboxed commands may write.
 */
const COMMON_JS = { format: 'cjs', platform: 'node', supported: { 'dynamic-import': false }, minifySyntax: true, minifyWhitespace: true, logLevel: 'warning' }

/** The parts by name as functions, and what runs each at its first use. A part that is not here is a file of the folder beside. */
const LOADER = `const ownUrl=require("node:url").pathToFileURL(__filename).href,loaded=new Map;
function part(name){if(!name.startsWith("./"))return require(name);name=name.slice(name.lastIndexOf("/")+1);let module=loaded.get(name);
if(module===undefined){loaded.set(name,module={exports:{}});(Object.hasOwn(parts,name)?parts[name]:require("./FOLDER/"+name))(module.exports,part,module,ownUrl)}return module.exports}
`

/**
 * @param esbuild  the package
 * @param options  of `build`, without a format; `import.meta.url` becomes the address of the program's own file
 * @param folder   for the parts, beside the program, as its name
 * @returns { program: text, parts: [{ name, text }], inputs: the names of all source files }
 */
export async function bundleProgram(esbuild, entry, options, folder) {
  const { outputFiles, metafile } = await esbuild.build({
    ...options, entryPoints: [{ in: entry, out: 'program' }], chunkNames: '[name]-[hash]', outExtension: { '.js': '.cjs' }, write: false, metafile: true,
    bundle: true, format: 'esm', splitting: true, platform: 'node', define: { ...options.define, 'import.meta.url': 'ownUrl' },
  })
  const outputs = new Map(Object.entries(metafile.outputs).map(([path, output]) => [basename(path), output]))
  const within = usedBy([...outputs].filter(([, { entryPoint }]) => entryPoint === entry || USED_BY_RUN.includes(entryPoint)).map(([name]) => name), outputs)
  const missing = USED_BY_RUN.filter(path => ![...outputs.values()].some(({ entryPoint }) => entryPoint === path))
  if (missing.length > 0) throw new Error(`${missing.join(', ')}: not loaded with \`await import()\` any more; mend USED_BY_RUN in scripts/bundle-program.mjs`)
  const inside = [], parts = []
  for (const { path, text } of outputFiles) {
    const name = basename(path)
    const { code } = await esbuild.transform(text, { ...COMMON_JS, target: options.target })
    const body = `(function(exports,require,module,ownUrl){${code.replace(/^"use strict";/, '')}})`
    if (within.has(name)) inside.push(`${JSON.stringify(name)}:${body}`)
    else parts.push({ name, text: `"use strict";module.exports=${body};\n` })
  }
  const program = `#!/usr/bin/env node\n"use strict";\n${LOADER.replace('FOLDER', folder)}const parts={\n${inside.join(',\n')}\n};\npart("./program.cjs");\n`
  return { program, parts, inputs: Object.keys(metafile.inputs) }
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
