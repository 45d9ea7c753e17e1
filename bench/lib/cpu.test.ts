import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { run, start, stop } from '../../test/lib/process.ts';
import { type CpuGroup, openCpuGroup } from './cpu.ts';

/** Burns CPU in `count` short-lived grandchildren, each for `seconds` by its own count, and stays. */
const BURNER = `
  const { execFileSync } = require('node:child_process');
  const [count, seconds] = process.argv.slice(1).map(Number);
  const burn = 'while (process.cpuUsage().user + process.cpuUsage().system < ' + seconds * 1e6 + ');';
  for (let i = 0; i < count; i++) execFileSync(process.execPath, ['-e', burn]);
  console.log('done');
  setInterval(() => {}, 1000);
`;

async function burn(cpu: CpuGroup): Promise<number> {
  let done: () => void = () => undefined;
  const finished = new Promise<void>((resolve) => (done = resolve));
  const running = await start(cpu.wrap([process.execPath, '-e', BURNER, '5', '0.2']), {
    onOut: (text) => text.includes('done') && done(),
  });
  cpu.watch(running.pid);
  try {
    await finished;
    return cpu.cpuSeconds();
  } finally {
    await stop(running);
  }
}

const asRoot = process.getuid?.() === 0 && existsSync('/sys/fs/cgroup');

describe('CPU seconds of a server', () => {
  it.each(asRoot ? (['cgroup', 'proc'] as const) : (['proc'] as const))('count children that ended (%s)', async (way) => {
    const cpu = openCpuGroup('burner', way);
    try {
      const seconds = await burn(cpu);
      // Five times 0.2 s, and what it takes to start six Nodes.
      expect(seconds).toBeGreaterThan(0.98);
      expect(seconds).toBeLessThan(2.5);
    } finally {
      cpu.close();
    }
  });

  it('are not those of others', async () => {
    const cpu = openCpuGroup('idle');
    const running = await start(cpu.wrap(['/bin/sleep', '60']));
    cpu.watch(running.pid);
    try {
      await run([process.execPath, '-e', 'while (process.cpuUsage().user < 300000);']);
      expect(cpu.cpuSeconds()).toBeLessThan(0.1);
      expect(cpu.pids()).toEqual([running.pid]);
      expect(cpu.rssBytes()).toBeGreaterThan(0);
    } finally {
      await stop(running);
      cpu.close();
    }
  });
});
