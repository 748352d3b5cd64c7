/** What nothing can be done without on Windows, as `probe` calls it. */
export const WINDOWS_LAYER = 'windows-addon'
