// Run in a process of its own, as another user: the attack whose options are in ATTACK, and its outcome as a line of JSON.
import { type AttackOptions, attackSupervised } from '../support/supervised-attack.js'

process.stdout.write(`${JSON.stringify(await attackSupervised(JSON.parse(process.env['ATTACK'] ?? '') as AttackOptions))}\n`)
