// First messages of TLS clients, whole and broken, for tests.

const u8 = (value: number): number[] => [value & 255]
const u16 = (value: number): number[] => [value >> 8 & 255, value & 255]
const vector = (size: 1 | 2, bytes: readonly number[]): number[] => [...size === 1 ? u8(bytes.length) : u16(bytes.length), ...bytes]

export const extension = (type: number, bytes: readonly number[]): number[] => [...u16(type), ...vector(2, bytes)]
export const serverName = (name: string, type = 0): number[] => extension(0, vector(2, [type, ...vector(2, [...Buffer.from(name, 'latin1')])]))

/** The handshake message. `extensions` undefined: none at all. */
export function clientHello(extensions: readonly number[] | undefined): Buffer {
  const body = [3, 3, ...Array<number>(32).fill(7), ...vector(1, Array<number>(32).fill(1)), ...vector(2, [0x13, 1, 0x13, 2]), ...vector(1, [0]), ...extensions === undefined ? [] : vector(2, extensions)]
  return Buffer.from([1, 0, ...u16(body.length), ...body])
}

/** The message in records of at most `size` bytes. */
export function records(message: Buffer, size = 16_384): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size)
    parts.push(Buffer.from([22, 3, 1, ...u16(part.length)]), part)
  }
  return Buffer.concat(parts)
}

/** What a client that wants `name` sends first; undefined: it names nobody. */
export function tlsStart(name: string | undefined, size?: number): Buffer {
  return records(clientHello([...extension(0x2b, [2, 3, 4]), ...name === undefined ? [] : serverName(name), ...extension(0x10, [0, 3, 2, 104, 50])]), size)
}
