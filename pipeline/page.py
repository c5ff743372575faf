"""A report as one HTML file that loads nothing from anywhere."""

from collections.abc import Sequence
from html import escape

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
STYLE = """\
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "Noto Sans CJK SC", sans-serif; color: #24303b; background: #f4f6f8;
  max-width: 62rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; } h2 { font-size: 1.25rem; margin: 2.5rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p { margin: .4rem 0; } .note { color: #66727d; }
figure { background: #fff; border: 1px solid #dde2e7; border-radius: 8px; margin: .8rem 0; padding: 1rem; }
figure svg { display: block; width: 100%; height: auto; } figcaption { color: #66727d; margin-bottom: .6rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; background: #fff; border: 1px solid #dde2e7; border-radius: 8px; }
th, td { padding: .35rem .8rem; text-align: right; border-bottom: 1px solid #eef1f4;
  font-variant-numeric: tabular-nums; }
th { color: #66727d; font-weight: 600; } th:first-child, td:first-child { text-align: left; }
tr:last-child td { border-bottom: 0; }
"""


def page(title: str, note: str, parts: Sequence[str]) -> str:
    """The whole file; `parts` are made by the functions below."""
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    screen = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    name, body = escape(title), "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">{policy}{screen}'
        f"<title>{name}</title><style>{STYLE}</style></head>\n<body><h1>{name}</h1>"
        f'<p class="note">{escape(note)}</p>\n{body}\n</body></html>\n'
    )


def heading(text: str, level: int = 2) -> str:
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def figure(caption: str, svg: str) -> str:
    return f"<figure><figcaption>{escape(caption)}</figcaption>{svg}</figure>"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Numbers as they are, shares (floats) to three digits."""
    cells = [[f"{one:.3f}" if isinstance(one, float) else str(one) for one in row] for row in rows]
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in cells)
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    return f'<div class="wide"><table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>'
