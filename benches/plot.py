#!/usr/bin/env python3
"""Draws idle cost and bytes a grain against the number of grains, for both sides.

    for n in 1000 10000 100000; do
        cargo run --release -p gleaner-benches --bin versus -- idle --grains $n
    done > figures.txt
    cargo run --release -p gleaner-benches --bin versus -- scale >> figures.txt
    python3 benches/plot.py figures.txt docs/idle.svg

Reads the `name=value` lines of `versus idle` (whose grains stand in `idle.grains`) and `versus scale`.
Where both measured ours at one number of grains, `idle` counts. Nothing but Python's own library.
"""

import math
import re
import sys

SIDES = {"gleaner": ("Gleaner", "#1b7f4d"), "orlando": ("orlando-cluster 0.1.0", "#b5482a")}
PANELS = [
    ("cpu_seconds_per_second", "Processor seconds a second, at rest"),
    ("bytes_per_grain", "Resident bytes a grain"),
]
SCALE = re.compile(
    r"scale\.(\d+)\.(?:idle_)?(cpu_seconds_per_second|bytes_per_grain)\.(gleaner)(?:\.(min|max))?$"
)
IDLE = re.compile(r"idle\.(cpu_seconds_per_second|bytes_per_grain)\.(\w+?)(?:\.(min|max))?$")


def read(lines):
    """{(metric, side): {grains: {"": median, "min": …, "max": …}}}"""
    found, grains = {}, None
    from_scale = {}
    for line in lines:
        name, equals, value = line.strip().partition("=")
        if not equals:
            continue
        if name == "idle.grains":
            grains = int(value)
            continue
        scale, idle = SCALE.match(name), IDLE.match(name)
        if scale:
            n, metric, side, part = scale.groups()
            into, n = from_scale, int(n)
        elif idle and idle.group(2) in SIDES:
            if grains is None:
                raise SystemExit(f"{name} stands before any idle.grains")
            metric, side, part = idle.groups()
            into, n = found, grains
        else:
            continue
        into.setdefault((metric, side), {}).setdefault(n, {})[part or ""] = float(value)
    for key, points in from_scale.items():
        found[key] = {**points, **found.get(key, {})}
    return found


def ticks(low, high):
    return [10.0**power for power in range(math.floor(low), math.ceil(high) + 1)]


def label(value):
    if value >= 1:
        return f"{value:,.0f}"
    return f"{value:f}".rstrip("0")


def panel(found, metric, title, left, top, width, height):
    series = {side: found.get((metric, side), {}) for side in SIDES}
    points = [(n, v) for runs in series.values() for n, vs in runs.items() for v in vs.values()]
    points = [(n, v) for n, v in points if n > 0 and v > 0]
    if not points:
        raise SystemExit(f"there is no {metric} in the input")
    xs = [math.log10(n) for n, _ in points]
    ys = [math.log10(v) for _, v in points]
    x0, x1 = math.floor(min(xs)), max(math.ceil(max(xs)), math.floor(min(xs)) + 1)
    y0, y1 = math.floor(min(ys)), max(math.ceil(max(ys)), math.floor(min(ys)) + 1)

    def at(n, value):
        x = left + (math.log10(n) - x0) / (x1 - x0) * width
        y = top + height - (math.log10(value) - y0) / (y1 - y0) * height
        return x, y

    out = [f'<text x="{left}" y="{top - 14}" class="title">{title}</text>']
    for tick in ticks(y0, y1):
        _, y = at(10**x0, tick)
        out.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + width}" y2="{y:.1f}" class="grid"/>')
        out.append(f'<text x="{left - 6}" y="{y + 4:.1f}" class="end">{label(tick)}</text>')
    for tick in ticks(x0, x1):
        x, _ = at(tick, 10**y0)
        out.append(f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{top + height}" class="grid"/>')
        out.append(f'<text x="{x:.1f}" y="{top + height + 16}" class="mid">{label(tick)}</text>')
    out.append(
        f'<text x="{left + width / 2}" y="{top + height + 34}" class="mid">followed grains</text>'
    )
    for side, runs in series.items():
        name, colour = SIDES[side]
        path, marks = [], []
        for n in sorted(runs):
            median = runs[n].get("")
            if median is None:
                continue
            if median <= 0:
                # Not to be drawn on such an axis, and not to be passed over either.
                print(f"{metric} of {side} at {n} grains is {median}: not drawn", file=sys.stderr)
                continue
            x, y = at(n, median)
            path.append(f"{x:.1f},{y:.1f}")
            low, high = runs[n].get("min", median), runs[n].get("max", median)
            if low > 0:
                _, y_low = at(n, low)
                _, y_high = at(n, high)
                marks.append(
                    f'<line x1="{x:.1f}" y1="{y_low:.1f}" x2="{x:.1f}" y2="{y_high:.1f}" stroke="{colour}"/>'
                )
            marks.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>')
        if path:
            out.append(
                f'<polyline points="{" ".join(path)}" fill="none" stroke="{colour}" stroke-width="2"/>'
            )
            out.extend(marks)
    return out


def draw(found):
    width, height = 860, 400
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" fill="#222">',
        "<style>.grid{stroke:#ddd}.end{text-anchor:end}.mid{text-anchor:middle}"
        ".title{font-weight:bold;font-size:13px}</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for at, (metric, title) in enumerate(PANELS):
        out += panel(found, metric, title, 80 + at * 430, 44, 320, 260)
    for at, (name, colour) in enumerate(SIDES.values()):
        x = 80 + at * 120
        out.append(f'<circle cx="{x}" cy="{height - 18}" r="4" fill="{colour}"/>')
        out.append(f'<text x="{x + 10}" y="{height - 14}">{name}</text>')
    out.append(
        f'<text x="{width - 30}" y="{height - 14}" class="end">medians; bars from least to most; '
        "both axes logarithmic</text>"
    )
    return "\n".join([*out, "</svg>", ""])


def main():
    if len(sys.argv) != 3:
        raise SystemExit("usage: plot.py FIGURES OUT.svg")
    with open(sys.argv[1], encoding="utf-8") as figures:
        found = read(figures)
    drawing = draw(found)
    with open(sys.argv[2], "w", encoding="utf-8") as out:
        out.write(drawing)


if __name__ == "__main__":
    main()
