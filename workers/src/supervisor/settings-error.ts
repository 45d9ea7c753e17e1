/** The operator's files do not do; the message is for the operator, a line or more for each problem. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
}
