// Runs the attempts as the user that it is started as, and prints the outcomes as JSON.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Rung } from '../../../src/platform/launch-plan.js'
import { runAttempts } from './attempts.js'

const [program, folder] = [process.env['PROGRAM'] as string, process.env['FOLDER'] as string]
mkdirSync(join(folder, 'workspace'), { recursive: true })
process.stdout.write(JSON.stringify(await runAttempts(program, folder, join(folder, 'workspace'), process.env['RUNG'] as Rung, 'absolute')))
