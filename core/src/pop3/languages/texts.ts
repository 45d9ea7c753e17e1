/**
 * The message table of POP3: every text that the engine says, by what it is about. Each language is one object of this
 * type (english.ts, german.ts, french.ts), so a text that is missing in one of them does not compile. Codes in brackets,
 * numbers of STAT, LIST and UIDL, and what plugins say are no texts. Said through outcome.ts, chosen by LANG (languages.ts).
 */

/** One short line of plain text, without CR and LF. */
export interface Texts {
  // Logging in
  readonly sendPassword: string;
  readonly userFirst: string;
  readonly wrongLogin: string;
  readonly tooManyLogins: string;
  readonly noLoginInClear: string;
  readonly noLoginInClearUseStls: string;
  readonly noTimestamp: string;
  readonly mechanisms: string;
  readonly noMechanisms: string;
  readonly unknownMechanism: string;
  readonly oneResponse: string;
  readonly authGivenUp: string;
  readonly notBase64: string;
  malformedResponse(mechanism: string): string;
  // The maildrop
  loggedIn(user: string, messages: number, sizeBytes: number): string;
  readonly inUse: string;
  readonly tooSoon: string;
  readonly cannotOpen: string;
  readonly cannotOpenEver: string;
  messages(count: number): string;
  octets(count: number): string;
  readonly uniqueIds: string;
  readonly top: string;
  deleted(message: number): string;
  readonly cannotRead: string;
  readonly needsUtf8: string;
  // Arguments
  readonly noArgument: string;
  readonly giveName: string;
  readonly givePassword: string;
  readonly giveNameAndDigest: string;
  readonly giveNumber: string;
  readonly giveNumberAndLines: string;
  readonly notUtf8: string;
  readonly nameNotAllowed: string;
  readonly passwordNotAllowed: string;
  noSuchMessage(messages: number): string;
  isDeleted(message: number): string;
  // The session
  readonly capabilities: string;
  readonly languages: string;
  readonly languageChosen: string;
  readonly unknownLanguage: string;
  readonly utf8: string;
  readonly noTlsAfterUtf8: string;
  readonly beginTls: string;
  readonly tlsIsOn: string;
  readonly noTls: string;
  readonly stlsFirst: string;
  readonly loginFirst: string;
  readonly loggedInAlready: string;
  readonly unknownCommand: string;
  readonly notPop3: string;
  readonly lineTooLong: string;
  readonly bareLineEnd: string;
  readonly controlCharacter: string;
  readonly tooMuchAhead: string;
  readonly sessionOver: string;
  readonly goingDown: string;
  readonly internalError: string;
  // Where a plugin refuses without a text
  readonly refused: string;
  readonly deferred: string;
  // QUIT
  readonly goodbye: string;
  goodbyeDeleted(count: number): string;
  notAllDeleted(failed: number, marked: number): string;
  readonly noneDeleted: string;
}
