/** Peers and deliveries for tests: each ends with the test that started it, the delivery before the peers it was started after. */
import { onTestFinished } from 'vitest';
import { makeRig, type Rig, type RigOptions } from './delivery-rig.ts';
import { type Sink, type SinkOptions, startSink } from './smtp-sink.ts';

export async function startPeer(options?: SinkOptions): Promise<Sink> {
  const peer = await startSink(options);
  onTestFinished(() => peer.close());
  return peer;
}

export function startRig(options?: RigOptions): Rig {
  const rig = makeRig(options);
  onTestFinished(() => rig.delivery.drain(0));
  return rig;
}

/** A rig whose every message goes to this peer. */
export function startRigTo({ port }: Sink, options: RigOptions = {}): Rig {
  const relay = { via: `smtp://127.0.0.1:${port}`, ...options.config?.relay };
  return startRig({ ...options, config: { ...options.config, relay } });
}
