/** Another name for a file of a mailbox that other programs work in at the same time. */
import { linkSync, unlinkSync } from 'node:fs';

/**
 * Never takes the name of another file, as a rename would, which puts its own in place of that.
 * @throws the system's error: EEXIST when the name is taken; ENOENT when the file is not there any more, and then it has no other name.
 */
export function moveFile(from: string, to: string): void {
  linkSync(from, to);
  try {
    unlinkSync(from);
  } catch (error) {
    // Another program took it away, or gave it a name of its own: that is what holds.
    unlinkSync(to);
    throw error;
  }
}
