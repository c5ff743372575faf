"""The pictures of prepare, train and evaluate: small SVG files, drawn here, that need nothing else."""

from collections.abc import Mapping, Sequence
from html import escape

COLOURS = ("#2563a8", "#d97a24", "#3f8f5f", "#9a4f96", "#8a6d3b", "#5b6770")
INK, FAINT, GRID = "#24303b", "#66727d", "#dde2e7"
WIDTH = 720
ROW = 22  # height of a line of text with its bar
NAME = 150  # room for the names on the left
PLOT = (60, 24, WIDTH - 24, 300)  # left, top, right, bottom of a picture with two axes

Point = tuple[float, float]


def bars(title: str, series: Sequence[str], rows: Mapping[str, Sequence[float]]) -> str:
    """A line for each name, with the values of the series one behind the other."""
    longest = max((sum(values) for values in rows.values()), default=0) or 1
    room = WIDTH - NAME - 90
    marks = _legend(series, 14)
    for line, (name, values) in enumerate(rows.items()):
        y, x = 34 + line * ROW, float(NAME)
        marks.append(_text(NAME - 8, y + 14, name, "end"))
        for number, value in enumerate(values):
            width = value / longest * room
            marks.append(_box(x, y, width, ROW - 6, COLOURS[number % len(COLOURS)]))
            x += width
        marks.append(_text(x + 6, y + 14, f"{sum(values):,.0f}", colour=FAINT))
    return _svg(title, 34 + ROW * len(rows) + 10, marks)


def histogram(title: str, groups: Mapping[str, Sequence[int]], unit: str, bins: int = 24) -> str:
    """How often values occur: for each group a line over bins of equal width, as shares of the group."""
    highest = max((max(values) for values in groups.values() if values), default=1)
    width = max(1, -(-highest // bins))
    series = {}
    for name, values in groups.items():
        counts = [0] * (highest // width + 1)
        for value in values:
            counts[value // width] += 1
        series[name] = [((n + 0.5) * width, count / max(1, len(values))) for n, count in enumerate(counts)]
    return lines(title, series, unit, "share")


def lines(title: str, series: Mapping[str, Sequence[Point]], x_name: str, y_name: str) -> str:
    """A line for each series; both axes begin at 0."""
    points = [point for line in series.values() for point in line]
    most_x = max((x for x, _ in points), default=1) or 1
    most_y = max((y for _, y in points), default=1) or 1
    left, top, right, bottom = PLOT
    marks = _axes(most_x, most_y, x_name, y_name) + _legend(list(series), 14)
    for number, line in enumerate(series.values()):
        path = " ".join(
            f"{left + x / most_x * (right - left):.1f},{bottom - y / most_y * (bottom - top):.1f}"
            for x, y in line
        )
        colour = COLOURS[number % len(COLOURS)]
        marks.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return _svg(title, bottom + 44, marks)


def matrix(title: str, names: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Counts with rows of what is right and columns of what was answered; shades by the row's share."""
    side = max(26, min(40, (WIDTH - NAME) // max(1, len(names))))
    top = 120
    marks = [_text(NAME + side * len(names) / 2, 14, "answered", "middle", FAINT)]
    for place, name in enumerate(names):
        at = NAME + place * side + side / 2
        marks.append(_text(NAME - 8, top + place * side + side / 2 + 4, name, "end"))
        marks.append(f'<g transform="rotate(-55 {at} {top - 8})">{_text(at, top - 8, name)}</g>')
    for row, values in enumerate(counts):
        for column, count in enumerate(values):
            share = count / (sum(values) or 1)
            x, y = NAME + column * side, top + row * side
            colour = COLOURS[0] if row == column else COLOURS[1]
            marks.append(_box(x + 1, y + 1, side - 2, side - 2, GRID, opacity=0.35))
            if count:
                marks.append(_box(x + 1, y + 1, side - 2, side - 2, colour, opacity=0.12 + 0.88 * share))
                ink = "#fff" if share > 0.5 else INK
                marks.append(_text(x + side / 2, y + side / 2 + 4, str(count), "middle", ink, 10))
    return _svg(title, top + side * len(names) + 10, marks, max(WIDTH, NAME + side * len(names) + 20))


def reliability(title: str, bins: Sequence[tuple[float, float, int]]) -> str:
    """Confidence against accuracy; a point's area is its share of the items, the diagonal is perfect.

    Args:
        bins: mean confidence, accuracy and items of each bin.
    """
    left, top, right, bottom = PLOT
    total = sum(items for _, _, items in bins) or 1
    marks = _axes(1, 1, "probability of the answer", "share right")
    marks.append(_stroke(left, bottom, right, top, FAINT, dashed=True))
    for confidence, accuracy, items in bins:
        x, y = left + confidence * (right - left), bottom - accuracy * (bottom - top)
        ideal = bottom - confidence * (bottom - top)
        marks.append(_stroke(x, y, x, ideal, COLOURS[1]))
        size = 3 + 22 * (items / total) ** 0.5
        marks.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}" fill="{COLOURS[0]}" fill-opacity="0.75">'
            f"<title>items {items}, probability {confidence:.3f}, right {accuracy:.3f}</title></circle>"
        )
    return _svg(title, bottom + 44, marks)


def _axes(most_x: float, most_y: float, x_name: str, y_name: str) -> list[str]:
    left, top, right, bottom = PLOT
    marks = []
    for step in range(5):
        share = step / 4
        x, y = left + share * (right - left), bottom - share * (bottom - top)
        marks.append(_stroke(left, y, right, y, GRID))
        marks.append(_text(left - 8, y + 4, _number(share * most_y), "end", FAINT))
        marks.append(_text(x, bottom + 18, _number(share * most_x), "middle", FAINT))
    marks.append(_text((left + right) / 2, bottom + 36, x_name, "middle", FAINT))
    marks.append(_text(left, 14, y_name, colour=FAINT))
    return marks


def _legend(names: Sequence[str], y: float) -> list[str]:
    marks, x = [], float(NAME)
    for number, name in enumerate(names):
        marks += [_box(x, y - 9, 10, 10, COLOURS[number % len(COLOURS)]), _text(x + 15, y, name)]
        x += 34 + 12 * len(name) if any(c > "\u2e80" for c in name) else 34 + 7 * len(name)
    return marks


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = INK, size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}">'
        f"{escape(text)}</text>"
    )


def _box(x: float, y: float, width: float, height: float, colour: str, opacity: float = 1.0) -> str:
    shade = f' fill-opacity="{opacity:.2f}"' if opacity < 1 else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}" fill="{colour}"{shade} rx="2"/>'
    )


def _stroke(x1: float, y1: float, x2: float, y2: float, colour: str, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="4 4"' if dashed else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{dash}/>'


def _svg(title: str, height: float, marks: Sequence[str], width: float = WIDTH) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f"font-family=\"system-ui, 'Noto Sans CJK SC', sans-serif\"><title>{escape(title)}</title>"
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(marks)}</svg>'
    )
