// This drives the page in a real browser over the running demo. It clicks everything, by mouse and by keys, in dark and in
// light, and compares the figures with those of `go tool pprof`. Usage: `node check/main.mjs DEMO [FOLDER FOR SCREENSHOTS]`
//
// While a step is being written, `PARTS=narrow,servers` runs these parts alone. `kept` and `use` need `tabs` before them, which sets
// a mark. `FRESH=1` takes the page from `dist/`, so that the demo need not be built anew for it.

import { launch, open } from './browser.mjs';
import { captureCpu } from './cpu.mjs';
import { start } from './demo.mjs';
import { compareFigures, markConnected } from './figures.mjs';
import { askWhoHolds } from './holders.mjs';
import { keepIt } from './kept.mjs';
import { useLabels } from './labels.mjs';
import { lookAtMany } from './large.mjs';
import { lookAtLocks } from './locks.mjs';
import { narrowIt } from './narrow.mjs';
import { complaints, passes, screenshots } from './page.mjs';
import { askOtherServers } from './servers.mjs';
import { clickEverything } from './tabs.mjs';
import { lookAtThreads } from './threads.mjs';
import { pictureLeak, useIt } from './use.mjs';

const PARTS = {
  tabs: clickEverything,
  narrow: narrowIt,
  figures: compareFigures,
  cpu: captureCpu,
  threads: lookAtThreads,
  holders: askWhoHolds,
  labels: useLabels,
  locks: lookAtLocks,
  kept: keepIt,
  large: lookAtMany,
  use: useIt,
  servers: askOtherServers,
};
const parts = process.env.PARTS?.split(',') ?? Object.keys(PARTS);
const unknown = parts.filter((part) => !(part in PARTS));
if (unknown.length > 0) throw new Error(`PARTS has ${unknown}: there are ${Object.keys(PARTS)}`);

const binary = process.argv[2];
const browser = await launch();

// The load of the first demo goes on. That of the second ends, so that its figures stand still; it takes more samples than usual, so
// that little memory shows too.
const options = ['--connections-per-second', '60', '--idle-seconds', '1', '--load-seconds'];
const [address, ended] = await Promise.all([
  start(binary, [...options, '3600'], { PPROF_RECORD: '1s' }),
  start(binary, [...options, '6'], { PPROF_RECORD: '1s', ALLOC_PROFILER_INTERVAL: '16384' }),
]);
await markConnected(ended);
const page = await open(browser, address, complaints);

for (const part of parts) await PARTS[part]({ browser, page, ended, address, binary, complaints });
if (screenshots) await pictureLeak({ browser, address, complaints });

await browser.close();
console.log(`${passes()} passed, 0 failed`);
process.exit(0);
