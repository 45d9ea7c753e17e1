/** The bayes plugin, and its training for `posthorn train`. */
export { plugin as default } from './plugin.ts';
export { train, MODEL_FILE, type TrainingOrder, type TrainingProgress, type TrainingResult } from './train.ts';
export { TrainingError, type Label } from './store.ts';
