/**
 * The deliver stage: plugins are asked for each recipient before any connection is made. Called by delivery/loop, and
 * only where a plugin hooks the stage. A refusal is put into the attempt; what may go out comes back.
 */
import type { StageRunner, Verdict } from '../hook/contract.ts';
import type { Log } from '../observe/log.ts';
import type { Attempt } from './attempt.ts';
import type { Router } from './route.ts';

type Said = Pick<Verdict, 'kind' | 'text' | 'code' | 'enhanced'>;

/** Asks for every recipient that is to be tried. A pipeline that throws defers. @returns the indices that may go out */
export async function askDeliverStage(
  run: NonNullable<StageRunner<'deliver'>>,
  attempt: Attempt,
  indices: readonly number[],
  route: Router,
  log: Log,
): Promise<readonly number[]> {
  const { envelope } = attempt;
  const pass: number[] = [];
  for (const index of indices) {
    const recipient = envelope.recipients[index]!;
    const nextHop = route(recipient, envelope).key;
    let said: Said;
    try {
      said = await run({ envelope, recipient: recipient.address, nextHop, attempt: attempt.count(index) });
    } catch (error) {
      log.error('delivery.hook', { message: envelope.id, reason: String(error) });
      said = { kind: 'defer', text: 'a check before delivery failed' };
    }
    const { kind, code, enhanced, text = 'refused before delivery' } = said;
    switch (kind) {
      case 'reject':
        attempt.add([index], [{ outcome: 'failed', reply: `${code ?? 550} ${enhanced ?? '5.7.1'} ${text}` }], nextHop);
        break;
      case 'defer':
        attempt.add([index], [{ outcome: 'deferred', reply: `${code ?? 451} ${enhanced ?? '4.7.1'} ${text}` }], nextHop);
        break;
      default:
        // A quarantine has no meaning here: hook/answer.ts.
        pass.push(index);
    }
  }
  return pass;
}
