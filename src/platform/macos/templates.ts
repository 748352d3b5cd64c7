// The fixed parts of a profile, by name. Their sources are profiles/*.sbpl, with the reason for each rule beside it.
import { TEMPLATES } from './templates.generated.js'

export type TemplateName = keyof typeof TEMPLATES

/** The lines of a template. */
export const template = (name: TemplateName): readonly string[] => TEMPLATES[name]
