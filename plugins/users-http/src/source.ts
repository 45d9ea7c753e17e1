/**
 * The user source over HTTP: `GET URL/users` gives `[{ "name", "addresses", "sendAs"?, "quotaBytes"? }]`, `POST URL/verify` with
 * `{ "name", "password" }` gives 200 for a right password and 403 for a wrong one or an unknown name. Anything else, too
 * much, or nothing in time, rejects: nobody is refused for that.
 */
import { readFileSync } from 'node:fs';
import { z, type UserSource } from '@posthorn/sdk';

/** `fetch` takes none of those. */
function hasLogin(url: string): boolean {
  const { username, password } = new URL(url);
  return username !== '' || password !== '';
}

export const httpOptions = z.strictObject({
  url: z
    .url({ protocol: /^https?$/, error: 'expected a URL' })
    .refine((url) => /^(https:|http:\/\/(127\.\d+\.\d+\.\d+|\[::1\]|localhost)([:/]|$))/.test(url), {
      error: 'expected https: passwords must not travel in clear',
    })
    .refine((url) => !hasLogin(url), { error: 'expected a URL without a login in it; see tokenFile' })
    .transform((url) => url.replace(/\/+$/, '')),
  tokenFile: z.string().min(1).optional().describe('File with a token, sent as `Authorization: Bearer`.'),
  timeoutMs: z.int().min(100).max(60_000).default(5000),
});

export type HttpOptions = z.output<typeof httpOptions>;

const usersShape = z.array(
  z.object({
    name: z.string(),
    addresses: z.array(z.string()).default([]),
    sendAs: z.array(z.string()).optional(),
    quotaBytes: z.int().min(0).optional(),
  }),
);
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** @throws Error when the file of the token cannot be read. */
export function createHttpSource({ url, tokenFile, timeoutMs }: HttpOptions): UserSource {
  const authorization = tokenFile === undefined ? {} : { authorization: `Bearer ${readFileSync(tokenFile, 'utf8').trimEnd()}` };
  const common = () => ({ redirect: 'error' as const, signal: AbortSignal.timeout(timeoutMs) });
  return {
    async list() {
      const response = await fetch(`${url}/users`, { headers: { accept: 'application/json', ...authorization }, ...common() });
      if (response.status !== 200) return await unexpected(response, '/users');
      const users = usersShape.parse(JSON.parse(await textOf(response)));
      return users.map(({ sendAs, quotaBytes, ...user }) => ({
        ...user,
        ...(sendAs === undefined ? {} : { sendAs }),
        ...(quotaBytes === undefined ? {} : { quotaBytes }),
      }));
    },
    async verify(name, password) {
      if (name === '' || password === '') return false;
      const response = await fetch(`${url}/verify`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...authorization },
        body: JSON.stringify({ name, password }),
        ...common(),
      });
      if (response.status !== 200 && response.status !== 403) return await unexpected(response, '/verify');
      await response.body?.cancel();
      return response.status === 200;
    },
  };
}

async function unexpected(response: Response, path: string): Promise<never> {
  await response.body?.cancel();
  throw new Error(`${path} said ${response.status}`);
}

async function textOf(response: Response): Promise<string> {
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const piece of response.body ?? []) {
    sizeBytes += piece.length;
    if (sizeBytes > MAX_ANSWER_BYTES) throw new Error('the answer is too large');
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}
