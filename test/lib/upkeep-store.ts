/** A level store whose upkeep nothing rings for: it happens when a test calls for it, and what it reports is kept. */
import { createLevelStore, type FileOps, type LevelQueueStore, nodeFileOps } from '@posthorn/queue-level';

/** @param reports gets a line for each report: its event, and its fields as JSON */
export function storeAt(
  directory: string,
  reports: string[],
  { files = {}, segmentBytes = 20_000 }: { readonly files?: Partial<FileOps>; readonly segmentBytes?: number } = {},
): LevelQueueStore {
  const clock = { after: () => () => undefined };
  const report = (event: string, fields: Record<string, unknown>): number => reports.push(`${event} ${JSON.stringify(fields)}`);
  return createLevelStore({ directory, segmentBytes, clock, report, files: { ...nodeFileOps, ...files } });
}
