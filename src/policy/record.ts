// What JSON, TOML and callers hand in: a table of names, before anything in it is known.

/** An object that is no list. */
export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value)
