// The head of dist/cli.cjs: how the program finds its parts. scripts/bundle-program.mjs defines `FOLDER`, the folder of the parts beside it,
// `RUN_FILE`, the file there with what every `run` needs, `RUN_PARTS`, the names of the parts in that file, and `parts`, those that stand here. One of
// them, program.cjs, is src/cli/main.ts.
const { readFileSync } = require('node:fs')

const ownUrl = require('node:url').pathToFileURL(__filename).href
const loaded = new Map()
let runParts

/** A part by its name, or one of Node's own. Each runs once, at its first use. */
function part(name) {
  if (!name.startsWith('./')) return require(name)
  const own = name.slice(name.lastIndexOf('/') + 1)
  let module = loaded.get(own)
  if (module === undefined) {
    module = { exports: {} }
    loaded.set(own, module)
    find(own)(module.exports, part, module, ownUrl)
  }
  return module.exports
}

function find(name) {
  if (Object.hasOwn(parts, name)) return parts[name]
  if (!RUN_PARTS.includes(name)) return require(`./${FOLDER}/${name}`)
  runParts ??= loadRunParts()
  return runParts[name]
}

function loadRunParts() {
  const filename = `${__dirname}/${FOLDER}/${RUN_FILE}`
  const text = readFileSync(filename)
  // ASCII, as the build makes sure.
  return new (require('node:vm').Script)(text.latin1Slice(), { filename, cachedData: readCodeCache(text) }).runInThisContext()
}

/**
 * What V8 made of this very text when this very Node built it, which saves compiling half a megabyte. V8 itself looks at no more than the text's
 * length and its own version: the data of another text would run in its place, and torn data crash Node. So it stands behind the SHA-256 of the
 * text and itself. Whatever is wrong with it, the text is compiled. Like the text it is a part of the program, which commands cannot write.
 */
function readCodeCache(text) {
  let cache
  try {
    cache = readFileSync(`${__dirname}/${FOLDER}/${RUN_FILE}.${process.version}-${process.platform}-${process.arch}.code-cache`)
  } catch {
    return undefined
  }
  const data = cache.subarray(32)
  return require('node:crypto').createHash('sha256').update(text).update(data).digest().equals(cache.subarray(0, 32)) ? data : undefined
}

part('./program.cjs')
