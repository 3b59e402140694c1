// This puts the page above the list of profiles that the server wrote, which stays for those who expect it. A page that was saved
// as a file shows what it was saved with.

import { render } from 'preact';
import { App } from './app';
import { keptIn, sourceOf } from './kept';
import { PROGRAM } from './source';
import 'uplot/dist/uPlot.min.css';
import './style.css';

const list = document.querySelector<HTMLDetailsElement>('#profiles');
if (list) list.open = false;
const kept = keptIn(document);
if (kept && !location.hash) location.hash = kept.fragment;
render(<App source={kept ? sourceOf(kept) : PROGRAM} />, document.querySelector('#app')!);
