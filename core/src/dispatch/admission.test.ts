import { describe, expect, test } from 'vitest';
import { createAdmission, createAdmissionControl, type AdmissionLimits } from './admission.ts';

function gateWith(limits: AdmissionLimits, threads = 1) {
  const control = createAdmissionControl(threads);
  const gates = Array.from({ length: threads }, (_, place) => createAdmission(control.memory, limits, place));
  return { control, gates, gate: gates[0]! };
}

describe('admission', () => {
  test('limits connections in all and counts leaving ones out', () => {
    const { gate, control } = gateWith({ maxConnections: 2, maxConnectionsPerClient: 10 });
    expect(gate.enter('192.0.2.1', true)).toBeUndefined();
    expect(gate.enter('192.0.2.2', true)).toBeUndefined();
    expect(gate.enter('192.0.2.3', true)).toBe('too-many');
    expect(control.connections()).toBe(2);
    gate.leave('192.0.2.1');
    expect(gate.enter('192.0.2.3', true)).toBeUndefined();
  });

  test('limits one client and not its neighbour, over all threads of the memory', () => {
    const { gates } = gateWith({ maxConnections: 100, maxConnectionsPerClient: 3 }, 2);
    const answers = [0, 1, 0, 1].map((thread) => gates[thread]!.enter('192.0.2.1', true));
    expect(answers).toEqual([undefined, undefined, undefined, 'too-many-from-client']);
    expect(gates[0]!.enter('192.0.2.9', true)).toBeUndefined();
  });

  test('takes an IPv6 /64 for one client', () => {
    const { gate } = gateWith({ maxConnections: 100, maxConnectionsPerClient: 1 });
    expect(gate.enter('2001:db8:0:1:aaaa::1', true)).toBeUndefined();
    expect(gate.enter('2001:db8:0:1:bbbb::2', true)).toBe('too-many-from-client');
    expect(gate.enter('2001:db8:0:2:aaaa::1', true)).toBeUndefined();
    // However zeros in it are written: all of these are 2001:db8:0:0.
    expect(gate.enter('2001:db8::1', true)).toBeUndefined();
    expect(gate.enter('2001:db8:0:0:1::', true)).toBe('too-many-from-client');
    expect(gate.enter('2001:db8::1:0:0:1', true)).toBe('too-many-from-client');
    gate.leave('2001:db8:0:0:2::');
    expect(gate.enter('2001:db8::3', true)).toBeUndefined();
  });

  test('says why nobody comes in', () => {
    const { gate, control } = gateWith({ maxConnections: 5, maxConnectionsPerClient: 5 });
    control.setDiskShort(true);
    expect(gate.enter('192.0.2.1', true)).toBe('disk');
    expect(gate.diskShort).toBe(true);
    expect(gate.enter('192.0.2.1', false)).toBeUndefined();
    gate.leave('192.0.2.1');
    control.setMemoryShort(true);
    expect(gate.enter('192.0.2.1', true)).toBe('memory');
    control.setDiskShort(false);
    control.setMemoryShort(false);
    expect(gate.enter('192.0.2.1', true)).toBeUndefined();
    control.setDraining();
    expect(gate.enter('192.0.2.1', true)).toBe('draining');
    expect(control.connections()).toBe(1);
  });

  test('a refused connection leaves no count behind', () => {
    const { gate, control } = gateWith({ maxConnections: 100, maxConnectionsPerClient: 1 });
    gate.enter('192.0.2.1', true);
    for (let i = 0; i < 50; i++) gate.enter('192.0.2.1', true);
    gate.leave('192.0.2.1');
    expect(gate.enter('192.0.2.1', true)).toBeUndefined();
    expect(control.connections()).toBe(1);
  });

  test('forgets the connections of a thread that died, and only those', () => {
    const { gates, control } = gateWith({ maxConnections: 100, maxConnectionsPerClient: 2 }, 2);
    gates[0]!.enter('192.0.2.1', true);
    gates[1]!.enter('192.0.2.1', true);
    expect(gates[1]!.enter('192.0.2.1', true)).toBe('too-many-from-client');
    control.forgetThread(0);
    expect(control.connections()).toBe(1);
    expect(gates[1]!.enter('192.0.2.1', true)).toBeUndefined();
  });
});
