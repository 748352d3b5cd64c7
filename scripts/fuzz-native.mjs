// Feeds the launcher's decoders with damaged plans, commands and frames, under AddressSanitizer and UBSan.
// Run: node scripts/fuzz-native.mjs [--seed N] [--seconds 600 | --cases N]; what it finds lies in build/fuzz, with its seed.
//      node scripts/fuzz-native.mjs --tool PATH only builds the program that decodes (native/linux/test/decode-tool.c).
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { checkNode, main, ROOT, say, SetUpError } from './setup.mjs'

const GOLDEN = 'test/golden/plan-codec'
const SOURCES = ['native/linux/test/decode-tool.c', 'native/linux/plan.c', 'native/linux/frames.c']
const FLAGS = ['-std=c11', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror', '-O1', '-g', '-fno-omit-frame-pointer']
const SANITIZERS = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all']
/** A plan stays decoded until the process ends, so what it takes is no leak. */
const ENVIRONMENT = { ASAN_OPTIONS: 'detect_leaks=0:allocator_may_return_null=1', UBSAN_OPTIONS: 'print_stacktrace=1' }
const CASES_A_PROCESS = 2000
/** Numbers that lengths and counts are often not compared with. */
const TELLING_NUMBERS = [0, 1, 2, 3, 4, 7, 8, 27, 31, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffc, 0xfffffffe, 0xffffffff]

/** @throws SetUpError where this machine's compiler has no sanitizers */
function buildTool(path) {
  const compiler = process.env.CC ?? 'gcc'
  const probe = spawnSync(compiler, [...SANITIZERS, '-x', 'c', '-o', path, '-'], { input: 'int main(void) { return 0; }', encoding: 'utf8' })
  if (probe.error || probe.status !== 0) throw new SetUpError(`${compiler} cannot build with sanitizers here: ${probe.error?.message ?? probe.stderr.trim().split('\n')[0]}`)
  const { status, stderr } = spawnSync(compiler, [...FLAGS, ...SANITIZERS, '-o', path, ...SOURCES.map(name => join(ROOT, name))], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${compiler}: ${stderr}`)
}

/** Numbers from 0 up to, not including, `below`; the same ones for the same seed (mulberry32). */
function randomNumbers(seed) {
  let state = seed >>> 0
  return below => {
    state = (state + 0x6d2b79f5) >>> 0
    let value = Math.imul(state ^ (state >>> 15), state | 1)
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61)
    return ((value ^ (value >>> 14)) >>> 0) % below
  }
}

/** One way to damage bytes each. */
const DAMAGES = [
  (bytes, random) => { bytes[random(bytes.length)] ^= 1 << random(8); return bytes },
  (bytes, random) => { bytes[random(bytes.length)] = random(256); return bytes },
  (bytes, random) => bytes.subarray(0, random(bytes.length)),
  (bytes, random) => {
    if (bytes.length >= 4) bytes.writeUInt32LE(TELLING_NUMBERS[random(TELLING_NUMBERS.length)], random(bytes.length - 3))
    return bytes
  },
  (bytes, random) => {
    if (bytes.length >= 4) {
      const at = random(bytes.length - 3)
      bytes.writeUInt32LE((bytes.readUInt32LE(at) + random(9) - 4) >>> 0, at)
    }
    return bytes
  },
  (bytes, random) => {
    const at = random(bytes.length)
    return Buffer.concat([bytes.subarray(0, at), Buffer.from(Array.from({ length: 1 + random(40) }, () => random(256))), bytes.subarray(at)])
  },
  (bytes, random) => {
    const at = random(bytes.length)
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random(40))])
  },
  (bytes, random) => {
    const at = random(bytes.length)
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at, at + random(200)), bytes.subarray(at)])
  },
]

function damage(original, random) {
  let bytes = Buffer.from(original)
  for (let left = 1 + random(4); left > 0 && bytes.length > 0; left--) bytes = DAMAGES[random(DAMAGES.length)](bytes, random)
  return bytes
}

/** Whole inputs of each kind: what they are made of, and the kind by which the program is told. */
function readOriginals() {
  const golden = readdirSync(join(ROOT, GOLDEN)).filter(name => name.endsWith('.hex')).sort()
    .map(name => ({ kind: name[0], bytes: Buffer.from(readFileSync(join(ROOT, GOLDEN, name), 'utf8').replaceAll(/\s/g, ''), 'hex') }))
  const frame = (type, id, payload) => {
    const header = Buffer.alloc(9)
    header.writeUInt32LE(payload.length, 0)
    header[4] = type
    header.writeUInt32LE(id, 5)
    return Buffer.concat([header, payload])
  }
  const frames = Buffer.concat([...golden.map(({ kind, bytes }, i) => frame(kind === 'p' ? 1 : 2, i, bytes)), frame(4, 1, Buffer.alloc(0)), frame(8, 1, Buffer.from([1, 0, 0, 1, 0])), frame(9, 0, Buffer.alloc(0))])
  return [...golden, { kind: 'f', bytes: frames }]
}

/** What is wrong with the program's answer to the case, or nothing. */
function findFault(kind, line) {
  const answer = JSON.parse(line)
  if (kind !== 'f') return answer.refused === undefined || answer.refused > 0 ? undefined : 'refused without an errno'
  return answer.same ? undefined : 'the frames that came out are not those that went in'
}

function runCases(tool, cases) {
  const input = Buffer.concat(cases.flatMap(({ kind, bytes }) => {
    const header = Buffer.from([kind.charCodeAt(0), 0, 0, 0, 0])
    header.writeUInt32LE(bytes.length, 1)
    return [header, bytes]
  }))
  const { status, signal, stdout, stderr } = spawnSync(tool, { input, env: ENVIRONMENT, maxBuffer: 1 << 30, timeout: 300_000 })
  const lines = stdout.toString('latin1').split('\n').slice(0, -1)
  for (const [index, line] of lines.entries()) {
    const fault = findFault(cases[index].kind, line)
    if (fault !== undefined) return { found: cases[index], report: fault }
  }
  // It prints as it goes, so the first case without a line is the one at which it ended.
  return status === 0 && lines.length === cases.length ? undefined : { found: cases[lines.length], report: `status ${status}, signal ${signal}\n${stderr}` }
}

function fuzz(tool, { seed, cases, seconds }) {
  const originals = readOriginals()
  const random = randomNumbers(seed)
  const end = seconds === undefined ? Number.POSITIVE_INFINITY : Date.now() + seconds * 1000
  let done = 0
  while (done < cases && Date.now() < end) {
    const batch = Array.from({ length: Math.min(CASES_A_PROCESS, cases - done) }, () => {
      const { kind, bytes } = originals[random(originals.length)]
      return { kind, bytes: damage(bytes, random) }
    })
    const fault = runCases(tool, batch)
    if (fault !== undefined) return { done, ...fault }
    done += batch.length
  }
  return { done }
}

await main(() => {
  checkNode()
  const { values } = parseArgs({ options: { tool: { type: 'string' }, seed: { type: 'string' }, cases: { type: 'string' }, seconds: { type: 'string' } } })
  if (values.tool !== undefined) return buildTool(values.tool)
  const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32))
  const cases = values.cases === undefined ? Number.POSITIVE_INFINITY : Number(values.cases)
  const seconds = values.seconds !== undefined ? Number(values.seconds) : values.cases === undefined ? 600 : undefined
  say(`seed ${seed}`)
  const folder = mkdtempSync(join(tmpdir(), 'codex-sandbox-fuzz-'))
  try {
    buildTool(join(folder, 'decode-tool'))
    const { done, found, report } = fuzz(join(folder, 'decode-tool'), { seed, cases, seconds })
    if (found === undefined) return say(`${done} cases, none of which made the decoder fail`)
    const kept = join(ROOT, 'build/fuzz', `${found.kind}-${seed}.hex`)
    mkdirSync(join(ROOT, 'build/fuzz'), { recursive: true })
    writeFileSync(kept, `${found.bytes.toString('hex')}\n`)
    say(`after ${done} cases, seed ${seed}: ${kept}\n${report}`)
    process.exitCode = 1
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
