"""A log-log line chart as an SVG, with nothing but text."""

import math
from html import escape

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 80, 200, 44, 56
# Told apart by colour-blind readers too (Okabe and Ito), on white and on dark pages.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
STYLE = "text{font:13px sans-serif;fill:#222}.grid{stroke:#ddd}.line{fill:none;stroke-width:2}"


def chart(title, x_title, y_title, series, x_format, y_format):
    """`series` is a dictionary from a name to points (x, y), all of them positive."""
    points = [point for line in series.values() for point in line]
    x_ticks = decades([x for x, _ in points])
    y_ticks = decades([y for _, y in points])
    x_values = sorted({x for x, _ in points})
    across = scale(x_values[0], x_values[-1], LEFT, WIDTH - RIGHT)
    up = scale(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
             f"<title>{escape(title)}</title><style>{STYLE}</style>",
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
             text(LEFT, 24, title, weight="bold")]
    for y in y_ticks:
        parts += [f'<path class="grid" d="M{LEFT} {up(y):.1f}H{WIDTH - RIGHT}"/>',
                  text(LEFT - 8, up(y) + 4, y_format(y), anchor="end")]
    # Few values: each is its own tick, as with threads.
    for x in x_values if len(x_values) <= 5 else [x for x in x_ticks if x_values[0] <= x <= x_values[-1]]:
        parts += [f'<path class="grid" d="M{across(x):.1f} {TOP}V{HEIGHT - BOTTOM}"/>',
                  text(across(x), HEIGHT - BOTTOM + 18, x_format(x), anchor="middle")]
    parts += [text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x_title, anchor="middle"),
              f'<g transform="rotate(-90)">{text(-(TOP + HEIGHT - BOTTOM) / 2, 16, y_title, anchor="middle")}</g>']
    parts += lines(series, across, up)
    return "\n".join([*parts, "</svg>", ""])


def lines(series, across, up):
    # The names stand beside where their lines end, pushed apart where those are close.
    ends = sorted(((up(line[-1][1]), name) for name, line in series.items()), reverse=True)
    heights, below = {}, HEIGHT - BOTTOM + 13
    for end, name in ends:
        below = heights[name] = min(end, below - 17)
    for (name, line), colour in zip(series.items(), COLOURS):
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in line)
        yield f'<polyline class="line" stroke="{colour}" points="{path}"/>'
        yield from (f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3" fill="{colour}"/>' for x, y in line)
        yield text(across(line[-1][0]) + 10, heights[name] + 4, name, colour=colour)


def text(x, y, content, anchor="start", weight="normal", colour=None):
    style = f' style="fill:{colour}"' if colour else ""
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}"{style}>'
            f"{escape(content)}</text>")


def decades(values):
    """The powers of ten around `values`; what noise puts just below one does not open another decade."""
    first = math.floor(math.log10(1.12 * min(values)))
    last = max(math.ceil(math.log10(max(values))), first + 1)
    return [10.0**exponent for exponent in range(first, last + 1)]


def scale(low, high, at_low, at_high):
    span = math.log10(high / low) or 1.0
    return lambda value: at_low + (at_high - at_low) * math.log10(value / low) / span
