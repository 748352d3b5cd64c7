// Arguments of a call, matched with the parameters that a function written here has.
import { type Call, typeOf, type Value, ValueError } from './values.js'

export interface ParameterRow<Name extends string = string> {
  readonly name: Name
  /** Without it, nothing stands for what is not given. */
  readonly required?: true
  readonly type?: 'string' | 'list' | 'int' | 'bool' | 'function'
}

/**
 * The arguments by the names of their parameters, in whichever way they were given.
 *
 * @throws ValueError for one too many, one missing, one given twice, an unknown name, a wrong type
 */
export function takeArguments<Name extends string>(callee: string, { positional, named }: Call, parameters: readonly ParameterRow<Name>[]): Partial<Record<Name, Value>> {
  const given: Partial<Record<Name, Value>> = {}
  if (positional.length > parameters.length) throw new ValueError(`${callee} takes at most ${parameters.length} arguments, and has ${positional.length}`)
  for (const [index, value] of positional.entries()) given[(parameters[index] as ParameterRow<Name>).name] = value
  for (const [name, value] of named) {
    const row = parameters.find(each => each.name === name)
    if (row === undefined) throw new ValueError(`${callee} has no parameter \`${name}\`: there are ${parameters.map(each => each.name).join(', ')}`)
    if (row.name in given) throw new ValueError(`\`${name}\` of ${callee} is given twice`)
    given[row.name] = value
  }
  for (const { name, required, type } of parameters) {
    const value = given[name]
    if (value === undefined) {
      if (required) throw new ValueError(`${callee} needs \`${name}\``)
    } else if (type !== undefined && typeOf(value) !== type) throw new ValueError(`\`${name}\` of ${callee} is a ${type}, not a ${typeOf(value)}`)
  }
  return given
}
