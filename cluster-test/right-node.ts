/** Required by mocha's own command: has it run the specs on the Node.js of the package, whatever the machine has. */
import { handOver } from '#runtime/hand-over.js';

await handOver();
