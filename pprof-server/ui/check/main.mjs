// This drives the page in a real browser over the running demo. It clicks everything, by mouse and by keys, in dark and in
// light, and compares the figures with those of `go tool pprof`. Usage: `node check/main.mjs DEMO [FOLDER FOR SCREENSHOTS]`

import { launch, open } from './browser.mjs';
import { start } from './demo.mjs';
import { compareFigures } from './figures.mjs';
import { complaints, passes } from './page.mjs';
import { askOtherServers } from './servers.mjs';
import { clickEverything } from './tabs.mjs';
import { useIt } from './use.mjs';

const binary = process.argv[2];
const browser = await launch();

// The load of the first demo goes on. That of the second ends, so that what its connections held is freed; it takes more samples
// than usual, so that little memory shows too.
const options = ['--connections-per-second', '60', '--idle-seconds', '1', '--load-seconds'];
const [address, ended] = await Promise.all([
  start(binary, [...options, '3600'], { PPROF_RECORD: '1s' }),
  start(binary, [...options, '6'], { PPROF_RECORD: '1s', ALLOC_PROFILER_INTERVAL: '16384' }),
]);
const page = await open(browser, address, complaints);

await clickEverything({ page, complaints });
await compareFigures({ browser, page, ended, complaints });
await useIt({ browser, page, address, complaints });
await askOtherServers({ browser, address, binary, complaints });

await browser.close();
console.log(`${passes()} passed, 0 failed`);
process.exit(0);
