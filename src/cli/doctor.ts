// `doctor`: what this machine can enforce; with --escape, whether it does.
import { examine, formatDoctor } from '../doctor/doctor.js'
import type { Arguments } from './arguments.js'
import { inFlags } from './in-flags.js'
import type { Options } from './options.js'
import { print } from './print.js'

const EXIT = { well: 0, unwell: 1 } as const

export async function doctor({ options }: Arguments): Promise<number> {
  if (options.escape === true) return tryEscapes(options)
  const report = await examine()
  await print(process.stdout, options.json === true ? asJson(report) : inFlags(formatDoctor(report)))
  return report.check.ok ? EXIT.well : EXIT.unwell
}

async function tryEscapes(options: Options): Promise<number> {
  const { formatAttempt, formatScore, scoreEscapes } = await import('../doctor/escape-score.js')
  // Progress goes to stderr where stdout is for a program.
  const show = options.json === true ? process.stderr : process.stdout
  const score = await scoreEscapes((result, number, of) => {
    show.write(`${[`${String(number).padStart(String(of).length)}/${of}`, formatAttempt(result).join('\n')].join(' ')}\n`)
  })
  const { results, ...counts } = score
  if (options.json === true) await print(process.stdout, asJson({ ...counts, results: results.map(({ attempt: { name, failure }, result, twin }) => ({ name, failure, result, twin })) }))
  else await print(process.stdout, `\n${formatScore(score)}\n`)
  return score.escaped + score.broken + score.failed === 0 ? EXIT.well : EXIT.unwell
}

const asJson = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`
