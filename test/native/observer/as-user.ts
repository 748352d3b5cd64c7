// Runs the attempts as the user that it is started as, and prints the outcomes as JSON.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { runAttempts } from './attempts.js'

const [program, folder] = [process.env['PROGRAM'] as string, process.env['FOLDER'] as string]
mkdirSync(join(folder, 'workspace'), { recursive: true })
process.stdout.write(JSON.stringify(await runAttempts(program, folder, join(folder, 'workspace'))))
