/**
 * The wait for a PROXY header on a connection from a host that has to send one. Used by the listener before anything
 * else is done with the connection: no session, no TLS and no reply until the header is whole and right. What came
 * behind it in the same packet stays on the socket. Ends by `then`, once, or with the socket.
 */
import type { Socket } from 'node:net';
import { type ProxiedClient, readProxyHeader } from '../wire/proxy-header.ts';

export type Proxied =
  /** `client` is undefined for a connection of the proxy's own. The socket is paused. */
  | { readonly ok: true; readonly client: ProxiedClient | undefined }
  /** The socket is destroyed. */
  | { readonly ok: false; readonly cause: string };

/** @param deadlineMs for the whole header: bytes that drip in do not make it longer */
export function takeProxyHeader(socket: Socket, deadlineMs: number, then: (outcome: Proxied) => void): void {
  let held: Buffer = Buffer.alloc(0);
  let done = false;
  const end = (outcome: Proxied): void => {
    if (done) return;
    done = true;
    clearTimeout(deadline);
    socket.removeListener('data', onData).removeListener('end', onEnd).removeListener('close', onEnd);
    // The listener of errors stays where the socket goes: one that comes late must not be unheard.
    if (outcome.ok) socket.removeListener('error', onError);
    else socket.destroy();
    then(outcome);
  };
  const onData = (chunk: Buffer): void => {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    const header = readProxyHeader(held);
    if (header.is === 'more') return;
    if (header.is === 'bad') {
      end({ ok: false, cause: header.cause });
      return;
    }
    socket.pause();
    if (header.usedBytes < held.length) socket.unshift(held.subarray(header.usedBytes));
    end({ ok: true, client: header.client });
  };
  const onEnd = (): void => end({ ok: false, cause: 'closed before its PROXY header' });
  const onError = (error: Error): void => end({ ok: false, cause: error.message });
  const deadline = setTimeout(() => end({ ok: false, cause: 'PROXY header took too long' }), deadlineMs);
  deadline.unref();
  socket.on('data', onData).on('end', onEnd).on('close', onEnd).on('error', onError);
}
