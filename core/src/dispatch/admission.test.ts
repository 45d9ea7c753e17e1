import { describe, expect, test } from 'vitest';
import { createAdmission, createAdmissionMemory } from './admission.ts';

describe('admission', () => {
  test('limits connections in all and counts leaving ones out', () => {
    const gate = createAdmission(createAdmissionMemory(), { maxConnections: 2, maxConnectionsPerClient: 10 });
    expect(gate.enter('192.0.2.1')).toBeUndefined();
    expect(gate.enter('192.0.2.2')).toBeUndefined();
    expect(gate.enter('192.0.2.3')).toBe('too-many');
    expect(gate.connections).toBe(2);
    gate.leave('192.0.2.1');
    expect(gate.enter('192.0.2.3')).toBeUndefined();
  });

  test('limits one client and not its neighbour, over all threads of the memory', () => {
    const memory = createAdmissionMemory();
    const limits = { maxConnections: 100, maxConnectionsPerClient: 3 };
    const threads = [createAdmission(memory, limits), createAdmission(memory, limits)];
    const answers = [0, 1, 0, 1].map((thread) => threads[thread]!.enter('192.0.2.1'));
    expect(answers).toEqual([undefined, undefined, undefined, 'too-many-from-client']);
    expect(threads[0]!.enter('192.0.2.9')).toBeUndefined();
  });

  test('takes an IPv6 /64 for one client', () => {
    const gate = createAdmission(createAdmissionMemory(), { maxConnections: 100, maxConnectionsPerClient: 1 });
    expect(gate.enter('2001:db8:0:1:aaaa::1')).toBeUndefined();
    expect(gate.enter('2001:db8:0:1:bbbb::2')).toBe('too-many-from-client');
    expect(gate.enter('2001:db8:0:2:aaaa::1')).toBeUndefined();
  });

  test('says why nobody comes in', () => {
    const gate = createAdmission(createAdmissionMemory(), { maxConnections: 5, maxConnectionsPerClient: 5 });
    gate.setDiskShort(true);
    expect(gate.enter('192.0.2.1')).toBe('disk');
    gate.setMemoryShort(true);
    expect(gate.enter('192.0.2.1')).toBe('memory');
    gate.setDiskShort(false);
    gate.setMemoryShort(false);
    expect(gate.enter('192.0.2.1')).toBeUndefined();
    gate.setDraining();
    expect(gate.enter('192.0.2.1')).toBe('draining');
    expect(gate.connections).toBe(1);
  });

  test('a refused connection leaves no count behind', () => {
    const gate = createAdmission(createAdmissionMemory(), { maxConnections: 100, maxConnectionsPerClient: 1 });
    gate.enter('192.0.2.1');
    for (let i = 0; i < 50; i++) gate.enter('192.0.2.1');
    gate.leave('192.0.2.1');
    expect(gate.enter('192.0.2.1')).toBeUndefined();
    expect(gate.connections).toBe(1);
  });
});
