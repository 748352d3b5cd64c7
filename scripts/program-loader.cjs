// dist/cli.cjs: how the program finds its parts. scripts/bundle-program.mjs defines `FOLDER`, the folder of the parts beside it, and of the files
// there that hold several, `VERSION` and `RUN`, the name and the names of their parts. One of them, program.cjs, is src/cli/main.ts.
const { readFileSync } = require('node:fs')

/** What needs no more than the parts of `VERSION`. Those stand in `RUN` too, so that a command loads one file. */
const WITHOUT_COMMAND = ['--version', '-V', '--help', '-h', 'help', undefined]
const first = WITHOUT_COMMAND.includes(process.argv[2]) ? VERSION : RUN
const loaded = new Map()

/** A part by its name, or one of Node's own. Each runs once, at its first use. */
function part(name) {
  if (!name.startsWith('./')) return require(name)
  const own = name.slice(name.lastIndexOf('/') + 1)
  let module = loaded.get(own)
  if (module === undefined) {
    module = { exports: {} }
    loaded.set(own, module)
    find(own)(module.exports, part, module, __filename)
  }
  return module.exports
}

function find(name) {
  const file = [first, RUN].find(({ parts }) => parts.includes(name))
  if (file === undefined) return require(`./${FOLDER}/${name}`)
  file.functions ??= run(file)
  return file.functions[name]
}

function run({ file }) {
  const filename = `${__dirname}/${FOLDER}/${file}`
  const text = readFileSync(filename)
  const cachedData = file === RUN.file ? readCodeCache(filename, text) : undefined
  // ASCII, as the build makes sure.
  return new (require('node:vm').Script)(text.latin1Slice(), { filename, cachedData }).runInThisContext()
}

/**
 * What V8 made of this very text when this very Node built it, which saves compiling half a megabyte. V8 itself looks at no more than the text's
 * length and its own version: the data of another text would run in its place, and torn data crash Node. So it stands behind the SHA-256 of the
 * text and itself. Whatever is wrong with it, the text is compiled. Like the text it is a part of the program, which commands cannot write.
 */
function readCodeCache(filename, text) {
  let cache
  try {
    cache = readFileSync(`${filename}.${process.version}-${process.platform}-${process.arch}.code-cache`)
  } catch {
    return undefined
  }
  const data = cache.subarray(32)
  return require('node:crypto').createHash('sha256').update(text).update(data).digest().equals(cache.subarray(0, 32)) ? data : undefined
}

part('./program.cjs')
