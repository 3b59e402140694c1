// This puts the page above the list of profiles that the server wrote, which stays for those who expect it.

import { render } from 'preact';
import { App } from './app';
import 'uplot/dist/uPlot.min.css';
import './style.css';

const list = document.querySelector<HTMLDetailsElement>('#profiles');
if (list) list.open = false;
render(<App />, document.querySelector('#app')!);
