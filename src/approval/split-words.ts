// A line → words, as a POSIX shell divides it, for the examples in rules: quotes and backslashes, no expansions. Pure.

/** Undefined where a quote is not closed or a backslash ends the line. */
export function splitWords(line: string): string[] | undefined {
  const words: string[] = []
  let word: string | undefined
  for (let at = 0; at < line.length; at++) {
    const character = line.charAt(at)
    switch (character) {
      case ' ':
      case '\t':
      case '\n':
        if (word !== undefined) words.push(word)
        word = undefined
        break
      case '#':
        // A comment begins where a word could.
        if (word !== undefined) word += character
        else {
          const end = line.indexOf('\n', at)
          at = end === -1 ? line.length : end
        }
        break
      case '\'': {
        const end = line.indexOf('\'', at + 1)
        if (end === -1) return undefined
        word = (word ?? '') + line.slice(at + 1, end)
        at = end
        break
      }
      case '"': {
        const quoted = takeDoubleQuoted(line, at + 1)
        if (quoted === undefined) return undefined
        word = (word ?? '') + quoted.text
        at = quoted.end
        break
      }
      case '\\': {
        const next = line[++at]
        if (next === undefined) return undefined
        // A backslash before the end of a line joins it with the next.
        if (next !== '\n') word = (word ?? '') + next
        break
      }
      default: word = (word ?? '') + character
    }
  }
  return word === undefined ? words : [...words, word]
}

function takeDoubleQuoted(line: string, start: number): { text: string; end: number } | undefined {
  let text = ''
  for (let at = start; at < line.length; at++) {
    const character = line.charAt(at)
    if (character === '"') return { text, end: at }
    if (character !== '\\') {
      text += character
      continue
    }
    const next = line[++at]
    if (next === undefined) return undefined
    if (next !== '\n') text += '$`"\\'.includes(next) ? next : `\\${next}`
  }
  return undefined
}
