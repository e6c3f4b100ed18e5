/**
 * Loaded by every process that runs specs: with SUBLET_FIRST_SEED, properties draw the same inputs in every run, so that
 * a change is judged by what it does. Without it they draw fresh ones.
 */
import fc from 'fast-check';

const first = process.env.SUBLET_FIRST_SEED;
if (first !== undefined) fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(first) });
