import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Log } from '@posthorn/core/observe/log';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { askServer, NoServerError } from './client.ts';
import { createControlServer, type ControlServer, type ControlServerOptions } from './server.ts';
import { type ControlRequest, readRequest } from './protocol.ts';

const nothing = () => undefined;
const log: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing, with: () => log };

let folder: string;
let servers: ControlServer[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'posthorn-control-'));
  servers = [];
});
afterEach(async () => {
  await Promise.all(servers.map((server) => server.close()));
  rmSync(folder, { recursive: true });
});

async function listen(handle: ControlServerOptions['handle'], directory = folder, more: Partial<ControlServerOptions> = {}) {
  servers.push(await createControlServer({ directory, handle, log, ...more }));
}
async function ask(request: ControlRequest, directory = folder): Promise<unknown[]> {
  return Array.fromAsync(askServer(directory, request) as AsyncIterable<unknown>);
}
async function* echo(request: ControlRequest): AsyncIterable<unknown> {
  yield request;
}

describe('a question', () => {
  it('reaches the server and its parts come back in order', async () => {
    await listen(async function* () {
      for (let part = 0; part < 1000; part += 1) yield { part };
    });
    const parts = await ask({ ask: 'queue.list' });
    expect(parts).toHaveLength(1000);
    expect(parts.at(-1)).toEqual({ part: 999 });
  });
  it('carries its id', async () => {
    await listen(echo);
    expect(await ask({ ask: 'queue.show', id: 'a b\n"ü"' })).toEqual([{ ask: 'queue.show', id: 'a b\n"ü"' }]);
    expect(await ask({ ask: 'queue.retry' })).toEqual([{ ask: 'queue.retry' }]);
  });
  it('is told what went wrong, after the parts that went well', async () => {
    await listen(async function* () {
      yield 1;
      throw new Error('the store is shut');
    });
    const seen: unknown[] = [];
    await expect(
      (async () => {
        for await (const part of askServer(folder, { ask: 'queue.list' })) seen.push(part);
      })(),
    ).rejects.toThrow('the store is shut');
    expect(seen).toEqual([1]);
  });
  it('that the server does not know is refused', async () => {
    await listen(echo);
    await expect(ask({ ask: 'queue.burn' } as unknown as ControlRequest)).rejects.toThrow(/does not know/);
  });
  it('stops the server from gathering when the client leaves', async () => {
    const ended = Promise.withResolvers<void>();
    await listen(async function* () {
      try {
        while (true) yield 'x'.repeat(10_000);
      } finally {
        ended.resolve();
      }
    });
    for await (const part of askServer(folder, { ask: 'queue.list' })) {
      expect(part).toHaveLength(10_000);
      break;
    }
    await ended.promise;
  });
});

describe('the socket', () => {
  it('is for its owner only', async () => {
    await listen(echo);
    expect(statSync(join(folder, 'control.sock')).mode & 0o777).toBe(0o600);
  });
  it('may have a path longer than a socket address', async () => {
    const deep = join(folder, 'd'.repeat(120), 'e'.repeat(120));
    mkdirSync(deep, { recursive: true });
    await listen(echo, deep);
    expect(await ask({ ask: 'status' }, deep)).toEqual([{ ask: 'status' }]);
    expect(statSync(join(deep, 'control.sock')).mode & 0o777).toBe(0o600);
    await servers.pop()?.close();
    expect(() => statSync(join(deep, 'control.sock'))).toThrow(/ENOENT/);
  });
  it('without a server is NoServerError, left behind or never made', async () => {
    await expect(ask({ ask: 'status' })).rejects.toBeInstanceOf(NoServerError);
    await expect(ask({ ask: 'status' }, join(folder, 'none'))).rejects.toBeInstanceOf(NoServerError);
    writeFileSync(join(folder, 'control.sock'), '');
    await expect(ask({ ask: 'status' })).rejects.toBeInstanceOf(NoServerError);
  });
  it('left behind is taken over, one in use is not', async () => {
    writeFileSync(join(folder, 'control.sock'), '');
    await listen(echo);
    await expect(createControlServer({ directory: folder, handle: echo, log })).rejects.toThrow(/another server is running/);
    expect(await ask({ ask: 'reload' })).toEqual([{ ask: 'reload' }]);
  });
  it('survives clients that say nothing, too much or nonsense', async () => {
    await listen(echo, folder, { idleMs: 500 });
    const silent = createConnection(join(folder, 'control.sock'));
    const loud = createConnection(join(folder, 'control.sock'));
    const mad = createConnection(join(folder, 'control.sock'));
    for (const one of [silent, loud, mad]) one.on('error', nothing);
    const closed = Promise.all([silent, loud].map((one) => new Promise((gone) => one.resume().once('close', gone))));
    loud.write('x'.repeat(200_000));
    mad.end('{]\n');
    const [answer] = (await once(mad.setEncoding('utf8'), 'data')) as [string];
    expect(answer).toMatch(/"problem"/);
    await closed;
    expect(await ask({ ask: 'status' })).toEqual([{ ask: 'status' }]);
  });
});

describe('readRequest', () => {
  it.each(['', '1', 'null', '[]', '{}', '{"ask":"queue.show"}', '{"ask":"queue.remove","id":7}', '{"ask":"__proto__"}'])(
    '%j is none',
    (text) => expect(readRequest(text)).toBeUndefined(),
  );
  it('passes over fields it does not know', () => expect(readRequest('{"ask":"status","since":7}')).toEqual({ ask: 'status' }));
});
