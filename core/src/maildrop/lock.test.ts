import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { acquireLock, clearLocksOf, lockPath, removeStale } from './lock.ts';
import { formatOwner, isAlive, parseOwner, thisOwner } from './lock-owner.ts';

let folder: string;
let path: string;
const me = thisOwner('t1');

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'locks-'));
  path = lockPath(folder, 'alice');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const LOCK_MODULE = new URL('./lock.ts', import.meta.url).href;
const OWNER_MODULE = new URL('./lock-owner.ts', import.meta.url).href;

/** A process that runs `code` with acquireLock, thisOwner and `path` in scope, and prints lines. */
function startProcess(code: string): ChildProcess {
  const program = `
    import { acquireLock } from ${JSON.stringify(LOCK_MODULE)};
    import { thisOwner } from ${JSON.stringify(OWNER_MODULE)};
    import { openSync, closeSync, renameSync, symlinkSync, unlinkSync } from 'node:fs';
    const path = ${JSON.stringify(path)};
    ${code}`;
  return spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['pipe', 'pipe', 'inherit'] });
}

async function line(child: ChildProcess): Promise<string> {
  const [text] = (await once(child.stdout!, 'data')) as [Buffer];
  return text.toString().trim();
}

const HOLD = `const lock = acquireLock(path, thisOwner('other')); console.log(lock === undefined ? 'refused' : 'held'); process.stdin.on('data', () => { lock?.release(); console.log('released'); });`;

describe('a lock', () => {
  it('is held by one, and by the next after it was released', () => {
    const lock = acquireLock(path, me);
    expect(acquireLock(path, me)).toBeUndefined();
    expect(acquireLock(path, thisOwner('t2'))).toBeUndefined();
    lock!.release();
    lock!.release();
    expect(readdirSync(folder)).toEqual([]);
    acquireLock(path, me)!.release();
  });

  it('released twice does not take the lock of the next holder', () => {
    const first = acquireLock(path, me)!;
    first.release();
    const second = acquireLock(path, me)!;
    first.release();
    expect(acquireLock(path, me)).toBeUndefined();
    second.release();
  });

  it('holds against another process, and one of another process here', async () => {
    const child = startProcess(HOLD);
    expect(await line(child)).toBe('held');
    expect(acquireLock(path, me)).toBeUndefined();
    child.stdin!.write('x');
    expect(await line(child)).toBe('released');
    const lock = acquireLock(path, me)!;
    const other = startProcess(HOLD);
    expect(await line(other)).toBe('refused');
    lock.release();
    child.kill('SIGKILL');
    other.kill('SIGKILL');
  });

  it('holds against another thread', async () => {
    const lock = acquireLock(path, me)!;
    const code = `import { parentPort } from 'node:worker_threads';
      import { acquireLock } from ${JSON.stringify(LOCK_MODULE)};
      import { thisOwner } from ${JSON.stringify(OWNER_MODULE)};
      parentPort.postMessage(acquireLock(${JSON.stringify(path)}, thisOwner('t2')) === undefined ? 'refused' : 'held');`;
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`));
    expect(((await once(worker, 'message')) as [string])[0]).toBe('refused');
    await worker.terminate();
    lock.release();
  });

  it('of a process that was killed is taken over', async () => {
    const child = startProcess(HOLD);
    expect(await line(child)).toBe('held');
    child.kill('SIGKILL');
    await once(child, 'exit');
    const lock = acquireLock(path, me);
    expect(lock).toBeDefined();
    expect(readdirSync(folder)).toEqual(['alice.lock']);
    lock!.release();
  });

  it('that Posthorn did not write is left alone', () => {
    symlinkSync('somebody@host.123', path);
    expect(acquireLock(path, me)).toBeUndefined();
    expect(readlinkSync(path)).toBe('somebody@host.123');
  });

  it('throws when there is no folder', () => {
    expect(() => acquireLock(join(folder, 'none', 'x.lock'), me)).toThrow('ENOENT');
  });
});

describe('a stale lock', () => {
  const stale = formatOwner({ ...me, startedAt: '1' }, 'x1');

  it('of an earlier boot, or a pid used again, is taken over', () => {
    for (const owner of [
      { ...me, boot: 'another-boot' },
      { ...me, startedAt: '1' },
      { ...me, pid: 4_194_305 },
    ]) {
      symlinkSync(formatOwner(owner, 'n'), path);
      const lock = acquireLock(path, me);
      expect(lock).toBeDefined();
      lock!.release();
      expect(readdirSync(folder)).toEqual([]);
    }
  });

  it('whose taker was killed in the middle is taken over all the same', async () => {
    symlinkSync(stale, path);
    const lock = acquireLock(path, me)!;
    lock.release();
    symlinkSync(stale, path);
    // The guard as it is left: named by what it guards, held by a dead process.
    const { hash } = await import('node:crypto');
    const guard = `${path}.${hash('sha256', stale).slice(0, 32)}`;
    symlinkSync(formatOwner({ ...me, startedAt: '2' }, 'x2'), guard);
    const taken = acquireLock(path, me);
    expect(taken).toBeDefined();
    taken!.release();
    expect(readdirSync(folder)).toEqual([]);
  });

  it('whose guard a living one holds is not taken over meanwhile', async () => {
    symlinkSync(stale, path);
    const { hash } = await import('node:crypto');
    const guard = acquireLock(`${path}.${hash('sha256', stale).slice(0, 32)}`, thisOwner('t2'))!;
    expect(acquireLock(path, me)).toBeUndefined();
    guard.release();
    acquireLock(path, me)!.release();
  });

  it('seen by one who is late does not cost the lock of who was quicker', () => {
    symlinkSync(stale, path);
    const lock = acquireLock(path, me)!;
    expect(removeStale(path, stale, thisOwner('t2'))).toBe(true);
    expect(acquireLock(path, thisOwner('t2'))).toBeUndefined();
    lock.release();
  });

  it('is taken over by one only, however many come at once', async () => {
    // Whoever holds the lock makes a file that nobody else may find, then leaves the lock as one who died would.
    const code = `
      const owner = thisOwner('racer');
      process.stdin.once('data', () => {
        let taken = 0;
        const until = performance.now() + 400;
        while (performance.now() < until) {
          const lock = acquireLock(path, owner);
          if (lock === undefined) continue;
          closeSync(openSync(path + '.inside', 'wx'));
          unlinkSync(path + '.inside');
          const stale = [owner.pid, 1, owner.boot, 'racer', 'stale' + ++taken].join(' ');
          symlinkSync(stale, path + '.left');
          renameSync(path + '.left', path);
        }
        console.log(taken);
      });
      console.log('ready');`;
    const children = Array.from({ length: 4 }, () => startProcess(code));
    await Promise.all(children.map(line));
    const exits = children.map((child) => once(child, 'exit') as Promise<[number]>);
    const counts = children.map(line);
    for (const child of children) child.stdin!.end('go');
    expect((await Promise.all(exits)).map(([exitCode]) => exitCode)).toEqual([0, 0, 0, 0]);
    const taken = (await Promise.all(counts)).reduce((sum, count) => sum + Number(count), 0);
    expect(taken).toBeGreaterThan(20);
    acquireLock(path, me)!.release();
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('the locks of a dead thread', () => {
  it('are cleared, and no others', () => {
    acquireLock(lockPath(folder, 'a'), thisOwner('t2'));
    acquireLock(lockPath(folder, 'b'), thisOwner('t2'));
    acquireLock(lockPath(folder, 'c'), thisOwner('t22'));
    const mine = acquireLock(lockPath(folder, 'd'), me)!;
    expect(clearLocksOf(folder, thisOwner('t2'), me)).toBe(2);
    expect(readdirSync(folder).sort()).toEqual(['c.lock', 'd.lock']);
    mine.release();
  });
});

describe('the owner of a lock', () => {
  it('is read back as it was written', () => {
    expect(parseOwner(formatOwner(me, 'z9'))).toEqual(me);
    for (const text of ['', '1 2 3', 'x 1 b t n', `${formatOwner(me, 'z')} more`]) expect(parseOwner(text)).toBeUndefined();
  });

  it('lives as long as its process', async () => {
    expect(isAlive(me)).toBe(true);
    const child = startProcess(`console.log(JSON.stringify(thisOwner('x'))); process.stdin.resume();`);
    const owner = JSON.parse(await line(child)) as typeof me;
    expect(isAlive(owner)).toBe(true);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(isAlive(owner)).toBe(false);
  });

  it('needs a tag without spaces', () => {
    expect(() => thisOwner('a b')).toThrow(TypeError);
  });
});
