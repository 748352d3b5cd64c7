// Where a requirement is from.

export interface RequirementSource {
  /** `managed-config`: a field of managed_config.toml that bounds as well. */
  readonly name: 'cloud' | 'managed-preferences' | 'system' | 'managed-config'
  /** A file, or the key of a managed preference. */
  readonly path?: string
}

const WORDS: Readonly<Record<RequirementSource['name'], string>> = {
  cloud: 'requirements of the cloud', 'managed-preferences': 'managed preferences', system: 'requirements of the system', 'managed-config': 'managed_config.toml',
}

export const describeSource = ({ name, path }: RequirementSource): string => path ?? WORDS[name]
