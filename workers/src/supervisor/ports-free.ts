/** Looks whether the ports of the configuration can be had, before any process shares them: with SO_REUSEPORT a second server would not fail. */
import { createServer } from 'node:net';
import type { ListenerConfig } from '@posthorn/config';

/** @throws Error that names the listener, the address and what to do. */
export async function checkPorts(listeners: readonly ListenerConfig[]): Promise<void> {
  for (const { name, address } of listeners) {
    const [, host = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(address) ?? [];
    const server = createServer();
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ host, port: Number(port), exclusive: true }, resolve);
      });
    } catch (error) {
      throw new Error(explain(name, address, error), { cause: error });
    } finally {
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    }
  }
}

function explain(name: string, address: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'EADDRINUSE') return `listener ${name}: ${address} is in use by another program`;
  if (code === 'EACCES')
    return `listener ${name}: ${address} needs the right to use ports below 1024 (CAP_NET_BIND_SERVICE), or a higher port`;
  if (code === 'EADDRNOTAVAIL') return `listener ${name}: this machine has no address ${address}`;
  return `listener ${name}: ${address}: ${error instanceof Error ? error.message : String(error)}`;
}
