/** What the stages of a session found out about its client: evidence for scoring, and quarantine. Kept by the conversation. */
import type { GivenEvidence, Verdict } from '../hook/contract.ts';
import { gatherEvidence } from './verdict.ts';

type SessionStage = 'connect' | 'hello' | 'auth';

export class Findings {
  readonly #evidence: Record<SessionStage, GivenEvidence[]> = { connect: [], hello: [], auth: [] };
  /** Reasons of the stages that said quarantine. */
  readonly #quarantined: { [stage in SessionStage]?: string } = {};

  /** Adds the evidence to what is gathered of one message, in the order of the stages. */
  addTo(gathered: GivenEvidence[]): void {
    gatherEvidence(gathered, this.#evidence.connect);
    gatherEvidence(gathered, this.#evidence.hello);
    gatherEvidence(gathered, this.#evidence.auth);
  }

  /** Reason, when a stage said quarantine. */
  get quarantine(): string | undefined {
    return this.#quarantined.auth ?? this.#quarantined.hello ?? this.#quarantined.connect;
  }

  keep(stage: SessionStage, verdict: Verdict): void {
    if (stage === 'hello') this.#evidence.hello = [];
    gatherEvidence(this.#evidence[stage], verdict.evidence);
    if (verdict.kind === 'quarantine') this.#quarantined[stage] = verdict.text ?? 'quarantined by policy';
  }

  forget(...stages: readonly SessionStage[]): void {
    for (const stage of stages) {
      this.#evidence[stage] = [];
      delete this.#quarantined[stage];
    }
  }
}
