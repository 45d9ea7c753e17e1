/** A bare socket of a test, for what talk.ts is too tidy for: broken lines, half handshakes, TLS in the middle. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** Connects; writes go out as they are made. @param from the client's own address, any of 127.0.0.0/8 */
export async function openSocket(port: number, from: string): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', localAddress: from, noDelay: true });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** What is said until it has `end` in it, or the server closes. */
export function hear(socket: Socket, end: string): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const take = (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (text.includes(end)) done();
    };
    const done = () => {
      socket.off('data', take).off('close', done);
      resolve(text);
    };
    socket.on('data', take).on('close', done);
  });
}
