/**
 * Asks a running server over its control socket. Used by the commands; a server that is not there is a NoServerError,
 * so that `queue` can turn to the store itself.
 */
import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';
import { CONTROL_VERSION, type ControlLine, type ControlParts, type ControlRequest, controlSocketPath } from './protocol.ts';

/** Nobody listens: no server runs on this data folder. */
export class NoServerError extends Error {
  override readonly name = 'NoServerError';
}

/**
 * Asks and yields the parts of the answer as they come.
 * @param directory the data folder of the server
 * @throws NoServerError before the first part; Error with the server's words, or when it breaks off
 */
export async function* askServer<Request extends ControlRequest>(
  directory: string,
  request: Request,
): AsyncGenerator<ControlParts[Request['ask']]> {
  const socket = await connect(directory);
  // A connection that breaks ends the lines; whether the answer was whole is told by `done`.
  socket.on('error', () => socket.destroy());
  socket.write(`${JSON.stringify({ version: CONTROL_VERSION, ...request })}\n`);
  try {
    for await (const text of createInterface({ input: socket, crlfDelay: Infinity })) {
      const line = JSON.parse(text) as ControlLine;
      if (line.done === undefined) yield line.part as ControlParts[Request['ask']];
      else if (line.problem === undefined) return;
      else throw new Error(line.problem);
    }
  } finally {
    socket.destroy();
  }
  throw new Error('the server broke off before it had answered');
}

async function connect(directory: string) {
  let place;
  try {
    place = controlSocketPath(directory);
  } catch (error) {
    throw new NoServerError(`there is no folder ${directory}`, { cause: error });
  }
  const socket = createConnection(place.path);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return socket;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ECONNREFUSED') throw new NoServerError(`no server runs on ${directory}`, { cause: error });
    if (code === 'EACCES') throw new Error(`the server on ${directory} belongs to another user`, { cause: error });
    throw error;
  } finally {
    // Once it is connected the path is not needed any more.
    place.release();
  }
}
