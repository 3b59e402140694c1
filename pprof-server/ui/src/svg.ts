// This makes a picture of the boxes of the flame graph that can be seen, as a file of its own.

const ROW_PX = 20;
const FONT = '12px ui-monospace, monospace';
/** What a letter of that font is wide. */
const LETTER_PX = 7.3;

/** Returns the boxes of these graphs as SVG, one graph below the other. Each box has its name and its figures as a title. */
export function svgOf(graphs: readonly Element[]): string {
  const page = getComputedStyle(document.body);
  let height = 0;
  const drawn = graphs.map((graph) => {
    const { width, height: own } = graph.getBoundingClientRect();
    const boxes = [...graph.querySelectorAll<HTMLElement>('[role=treeitem]')].map((box) => boxOf(box, width));
    const group = [`<g transform="translate(0 ${height})">`, ...boxes, '</g>'].join('\n');
    height += own + ROW_PX;
    return { width, group };
  });
  const width = Math.max(...drawn.map(({ width }) => width));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`,
    `<rect width="100%" height="100%" fill="${page.backgroundColor}"/>`,
    `<g style="font: ${FONT}" fill="${page.color}">`,
    ...drawn.map(({ group }) => group),
    '</g></svg>\n',
  ].join('\n');
}

function boxOf(box: HTMLElement, width: number): string {
  const style = getComputedStyle(box);
  const [left, wide] = [parseFloat(box.style.left), parseFloat(box.style.width)].map((share) => (share / 100) * width) as [number, number];
  const top = parseFloat(box.style.top);
  const letters = Math.floor((wide - 6) / LETTER_PX);
  const name = box.textContent ?? '';
  const text = name.length <= letters ? name : letters > 2 ? `${name.slice(0, letters - 1)}…` : '';
  const at = (x: number, w: number, fill: string) =>
    `<rect x="${x.toFixed(1)}" y="${top}" width="${Math.max(w - 1, 0.5).toFixed(1)}" height="${ROW_PX - 1}" fill="${fill}"/>`;
  return [
    `<g><title>${escaped(box.getAttribute('aria-label') ?? '')}</title>`,
    ...fills(box, style).map(([from, to, fill]) => at(left + from * wide, (to - from) * wide, fill)),
    text && `<text x="${(left + 3).toFixed(1)}" y="${top + 14}">${escaped(text)}</text>`,
    '</g>',
  ].join('');
}

/** Returns the colours of a box from left to right: one, or in a difference those of what grew and what shrank. */
function fills(box: HTMLElement, style: CSSStyleDeclaration): [from: number, to: number, fill: string][] {
  const grew = box.style.getPropertyValue('--grew');
  if (!grew) return [[0, 1, style.backgroundColor]];
  const part = parseFloat(grew) / 100;
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const both: [number, number, string][] = [
    [0, part, colour('--grew-colour')],
    [part, 1, colour('--shrank-colour')],
  ];
  return both.filter(([from, to]) => to > from);
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (letter) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[letter]!);
}
