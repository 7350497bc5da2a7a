"""Mermaid flowcharts as SVG: the subset a proposal's page is made of, drawn here, with no outside script.

Understood: `flowchart TD`, nodes `id["…"]`, `id{"…"}`, `id(["…"])`, edges `-->`, `-->|…|`, `-.->`, `classDef`,
`class` and `:::`. Anything else is not drawn, and its source is shown instead.

Source: Mermaid documentation, "Flowcharts - Basic Syntax".
"""

from __future__ import annotations

import html
import re
import zlib
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

MAX_NODES, MAX_EDGES = 80, 160
_GAP_X, _GAP_Y, _LINE, _CHAR, _PAD = 36.0, 44.0, 18.0, 7.3, 16.0
_ID = r"[A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*"
_NODE = re.compile(
    rf"(?P<id>{_ID})(?:\(\[(?P<round>[^\]]*)\]\)|\{{(?P<choice>[^}}]*)\}}|\[(?P<box>[^\]]*)\])?(?::::(?P<css>\w+))?(?=\s|$|-)"
)
_ARROW = re.compile(r"\s*(?P<kind>-->|-\.->)\s*(?:\|(?P<label>[^|]*)\|)?\s*")
_COLOR = re.compile(r"#[0-9a-fA-F]{3,8}|[a-z]{3,20}")
_ENTITY = re.compile(r"#(\d{1,7}|quot|amp|lt|gt|nbsp);")
_NAMED = {"quot": '"', "amp": "&", "lt": "<", "gt": ">", "nbsp": "\u00a0"}


@dataclass
class Node:
    """A box; a hidden one only bends a long edge. `x`, `y` is its centre."""

    id: str
    lines: list[str] = field(default_factory=list)
    shape: str = "box"
    css: str = ""
    rank: int = 0
    x: float = 0.0
    y: float = 0.0
    width: float = 4.0
    height: float = 4.0
    hidden: bool = False


Draws = dict[str, float]
"""How strongly each neighbour draws a node to itself, sideways."""


@dataclass
class Edge:
    start: str
    end: str
    label: str
    dashed: bool
    back: bool = False
    path: list[str] = field(default_factory=list)


@dataclass
class Chart:
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    styles: dict[str, dict[str, str]] = field(default_factory=dict)


def draw(source: str) -> str | None:
    """The chart as an `<svg>` element; None when it is not the subset understood here, or too big."""
    chart = parse(source)
    if chart is None or not 1 <= len(chart.nodes) <= MAX_NODES or len(chart.edges) > MAX_EDGES:
        return None
    _rank(chart)
    _bend(chart)
    rows = _order(chart)
    _place(chart, rows)
    return _svg(chart)


def parse(source: str) -> Chart | None:
    """The chart's nodes, edges and styles; None for anything not understood."""
    lines = [line.strip().rstrip(";") for line in source.strip().splitlines()]
    lines = [line for line in lines if line and not line.startswith("%%")]
    if not lines or not re.fullmatch(r"(flowchart|graph)\s+(TD|TB)", lines[0]):
        return None
    chart = Chart()
    for line in lines[1:]:
        word, _, rest = line.partition(" ")
        if word == "classDef":
            name, _, style = rest.strip().partition(" ")
            chart.styles[name] = _style(style)
        elif word == "class":
            names, _, css = rest.strip().rpartition(" ")
            for name in names.split(","):
                if name.strip() in chart.nodes:
                    chart.nodes[name.strip()].css = css
        elif not _statement(chart, line):
            return None
    return chart


def _style(text: str) -> dict[str, str]:
    pairs = (part.partition(":") for part in text.split(","))
    return {
        key.strip(): value.strip()
        for key, _, value in pairs
        if key.strip() in ("fill", "stroke", "color") and _COLOR.fullmatch(value.strip())
    }


def _statement(chart: Chart, line: str) -> bool:
    """Take in `a["…"] --> b --> c`; False when the line is something else."""
    at, last, arrow = 0, None, None
    while at < len(line):
        found = _NODE.match(line, at)
        if not found:
            return False
        node = _node(chart, found)
        if last is not None and arrow is not None:
            chart.edges.append(Edge(last, node, _text(arrow["label"] or ""), arrow["kind"] == "-.->"))
        at, last = found.end(), node
        if line[at:].strip() == "":
            return True
        arrow = _ARROW.match(line, at)
        if not arrow:
            return False
        at = arrow.end()
    return False


def _node(chart: Chart, found: re.Match[str]) -> str:
    name = found["id"]
    node = chart.nodes.setdefault(name, Node(name, [name]))
    for shape in ("round", "choice", "box"):
        if found[shape] is not None:
            node.shape, node.lines = shape, _wrap(_text(found[shape]))
    node.css = found["css"] or node.css
    node.width = max(len(line) for line in node.lines) * _CHAR + 2 * _PAD + (20 if node.shape == "choice" else 0)
    node.width = max(node.width, 72.0)
    node.height = len(node.lines) * _LINE + 20
    return name


def _text(raw: str) -> str:
    raw = raw.strip()
    raw = raw[1:-1] if len(raw) > 1 and raw[0] == raw[-1] == '"' else raw
    return _ENTITY.sub(lambda m: _NAMED.get(m[1]) or _character(int(m[1])), raw)


def _character(code: int) -> str:
    return chr(code) if 32 <= code < 0xD800 or 0xE000 <= code <= 0x10FFFF else "\ufffd"


def _wrap(text: str, width: int = 30) -> list[str]:
    lines = [""]
    for word in text.split() or [""]:
        while len(word) > width:
            lines, word = [*lines, word[:width]], word[width:]
        if len(lines[-1]) + len(word) + 1 > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return [line for line in lines if line] or [" "]


def _rank(chart: Chart) -> None:
    """Every node below those that lead to it; an edge that closes a circle points back and is left out of it."""
    after: dict[str, list[Edge]] = defaultdict(list)
    for edge in chart.edges:
        after[edge.start].append(edge)
    state: dict[str, int] = {}
    order: list[str] = []

    def visit(name: str) -> None:
        state[name] = 1
        for edge in after[name]:
            if state.get(edge.end) == 1:
                edge.back = True
            elif edge.end not in state:
                visit(edge.end)
        state[name] = 2
        order.append(name)

    for name in chart.nodes:
        if name not in state:
            visit(name)
    for name in reversed(order):
        for edge in after[name]:
            if not edge.back:
                chart.nodes[edge.end].rank = max(chart.nodes[edge.end].rank, chart.nodes[name].rank + 1)


def _bend(chart: Chart) -> None:
    """Long edges pass through a hidden node in each rank between, so that they keep clear of boxes."""
    for number, edge in enumerate(chart.edges):
        low, high = chart.nodes[edge.start].rank, chart.nodes[edge.end].rank
        edge.path = [edge.start]
        if not edge.back:
            for rank in range(low + 1, high):
                bend = f"\0{number}.{rank}"
                chart.nodes[bend] = Node(bend, rank=rank, hidden=True)
                edge.path.append(bend)
        edge.path.append(edge.end)


def _order(chart: Chart) -> list[list[str]]:
    """The nodes of each rank, left to right: each near the middle of those above and below it."""
    rows: list[list[str]] = [[] for _ in range(max(n.rank for n in chart.nodes.values()) + 1)]
    for node in chart.nodes.values():
        rows[node.rank].append(node.id)
    up, down = _neighbours(chart)
    for sweep in range(6):
        near = up if sweep % 2 == 0 else down
        for row, other in _pairs(rows, downward=sweep % 2 == 0):
            place = {name: float(i) for i, name in enumerate(other)}
            middle = {name: _middle(near[name], place, float(i)) for i, name in enumerate(row)}
            row.sort(key=middle.__getitem__)
    return rows


def _middle(near: Draws, place: dict[str, float], here: float) -> float:
    """Where a node's neighbours draw it to, each by its weight; `here` when it has none."""
    known = {name: weight for name, weight in near.items() if name in place}
    return sum(place[n] * w for n, w in known.items()) / sum(known.values()) if known else here


def _pairs(rows: list[list[str]], *, downward: bool) -> list[tuple[list[str], list[str]]]:
    return list(zip(rows[1:], rows, strict=False)) if downward else list(zip(rows[-2::-1], rows[:0:-1], strict=False))


def _neighbours(chart: Chart) -> tuple[dict[str, Draws], dict[str, Draws]]:
    """The nodes above and below each node. Plain steps draw more than long and dashed ways, so they stay in line."""
    up: dict[str, Draws] = defaultdict(dict)
    down: dict[str, Draws] = defaultdict(dict)
    for edge in chart.edges:
        weight = 0.02 if edge.dashed else 4.0 if len(edge.path) == 2 else 1.0
        if not edge.back:
            for one, two in pairwise(edge.path):
                down[one][two] = up[two][one] = weight
    return up, down


def _place(chart: Chart, rows: list[list[str]]) -> None:
    """Coordinates: rows below each other, each node drawn towards its neighbours and kept apart from its row."""
    y = 12.0
    for row in rows:
        height = max(chart.nodes[n].height for n in row)
        for name in row:
            chart.nodes[name].y = y + height / 2
        y += height + _GAP_Y
        _apart(chart, row, [0.0] * len(row))
    up, down = _neighbours(chart)
    for sweep in range(10):
        near = up if sweep % 2 == 0 else down
        for row in rows if sweep % 2 == 0 else reversed(rows):
            place = {name: node.x for name, node in chart.nodes.items()}
            _apart(chart, row, [_middle(near[n], place, place[n]) for n in row])
    left = min(n.x - n.width / 2 for n in chart.nodes.values())
    for node in chart.nodes.values():
        node.x += 12 - left


def _apart(chart: Chart, row: list[str], wanted: list[float]) -> None:
    """Put a row as near to `wanted` as its order and the gaps allow: pushed right, then the whole shifted back."""
    at: list[float] = []
    for name, want in zip(row, wanted, strict=True):
        node = chart.nodes[name]
        if at:
            before = chart.nodes[row[len(at) - 1]]
            want = max(want, at[-1] + before.width / 2 + _GAP_X + node.width / 2)
        at.append(want)
    weights = [0.01 if chart.nodes[name].hidden else 1.0 for name in row]
    shift = sum((w - a) * k for w, a, k in zip(wanted, at, weights, strict=True)) / sum(weights)
    for name, x in zip(row, at, strict=True):
        chart.nodes[name].x = x + shift


def _svg(chart: Chart) -> str:
    nodes = chart.nodes
    width = max(n.x + n.width / 2 for n in nodes.values()) + 12
    height = max(n.y + n.height / 2 for n in nodes.values()) + 12
    tip = f"tip-{zlib.crc32(repr(list(nodes)).encode()):08x}"  # several charts may stand on one page
    lanes = 0
    lines, labels, left, right = [], [], 0.0, 0.0
    for edge in chart.edges:
        if edge.back:
            lanes += 1
            path, middle = _around(nodes[edge.start], nodes[edge.end], width + 14.0 * lanes)
        else:
            path, middle = _through([nodes[n] for n in edge.path])
        css = "edge dashed" if edge.dashed else "edge"
        lines.append(f'<path class="{css}" d="{path}" marker-end="url(#{tip})"/>')
        if edge.label:
            text = edge.label if len(edge.label) <= 42 else edge.label[:41] + "…"
            half = len(text) * 3.2 + 6
            labels.append(_label(text, half, middle))
            left, right = min(left, middle[0] - half - 2), max(right, middle[0] + half + 2)
    widest = max(right, width + 14.0 * lanes + (12 if lanes else 0)) - left
    boxes = [_box(n, chart.styles.get(n.css, {})) for n in nodes.values() if not n.hidden]
    names = ", ".join(" ".join(n.lines) for n in nodes.values() if not n.hidden)
    head = (
        f'<svg class="flowchart" role="img" aria-label="{html.escape(f"Flow: {names}"[:400])}" '
        f'viewBox="{left:.0f} 0 {widest:.0f} {height:.0f}" width="{widest:.0f}" height="{height:.0f}">'
        f'<defs><marker id="{tip}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="tip" d="M0 0 10 5 0 10z"/></marker></defs>'
    )
    return head + "".join(lines) + "".join(boxes) + "".join(labels) + "</svg>"


def _through(stops: list[Node]) -> tuple[str, tuple[float, float]]:
    """A curve down through all stops, and a point near its middle."""
    points = [(stops[0].x, stops[0].y + stops[0].height / 2)]
    points += [(n.x, n.y) for n in stops[1:-1]]
    points.append((stops[-1].x, stops[-1].y - stops[-1].height / 2 - 1))
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x1, y1), (x2, y2) in pairwise(points):
        half = (y2 - y1) / 2
        path += f"C{x1:.1f} {y1 + half:.1f} {x2:.1f} {y2 - half:.1f} {x2:.1f} {y2:.1f}"
    (x1, y1), (x2, y2) = points[(len(points) - 1) // 2 : (len(points) - 1) // 2 + 2]
    return path, ((x1 + x2) / 2, (y1 + y2) / 2)


def _around(start: Node, end: Node, lane: float) -> tuple[str, tuple[float, float]]:
    """An edge back up, beside all boxes."""
    x1, x2 = start.x + start.width / 2, end.x + end.width / 2 + 1
    path = f"M{x1:.1f} {start.y:.1f}C{lane:.1f} {start.y:.1f} {lane:.1f} {start.y:.1f} {lane:.1f} {(start.y + end.y) / 2:.1f}"
    return path + f"C{lane:.1f} {end.y:.1f} {lane:.1f} {end.y:.1f} {x2:.1f} {end.y:.1f}", (
        lane - 14,
        (start.y + end.y) / 2,
    )


def _label(text: str, half: float, middle: tuple[float, float]) -> str:
    x, y = middle
    box = (
        f'<rect class="edge-label-box" x="{x - half:.1f}" y="{y - 10:.1f}" width="{2 * half:.1f}" height="20" rx="4"/>'
    )
    return f'{box}<text class="edge-label" x="{x:.1f}" y="{y + 4:.1f}">{html.escape(text)}</text>'


def _box(node: Node, style: dict[str, str]) -> str:
    left, top = node.x - node.width / 2, node.y - node.height / 2
    paint = "".join(f' {key}="{style[key]}"' for key in ("fill", "stroke") if key in style)
    css = "node" if paint else "node plain"  # a rule of the style sheet would win over the attributes
    if node.shape == "choice":
        right, bottom, tip = left + node.width, top + node.height, 14
        points = f"{left + tip:.1f},{top:.1f} {right - tip:.1f},{top:.1f} {right:.1f},{node.y:.1f} {right - tip:.1f},{bottom:.1f} {left + tip:.1f},{bottom:.1f} {left:.1f},{node.y:.1f}"
        shape = f'<polygon class="{css}" points="{points}"{paint}/>'
    else:
        radius = node.height / 2 if node.shape == "round" else 6
        shape = f'<rect class="{css}" x="{left:.1f}" y="{top:.1f}" width="{node.width:.1f}" height="{node.height:.1f}" rx="{radius:.1f}"{paint}/>'
    color = f' fill="{style.get("color", "#1d2125")}"' if paint else ""
    css = "node-text" if paint else "node-text plain"
    first = node.y - (len(node.lines) - 1) * _LINE / 2 + 4.5
    texts = [
        f'<text class="{css}" x="{node.x:.1f}" y="{first + i * _LINE:.1f}"{color}>{html.escape(line)}</text>'
        for i, line in enumerate(node.lines)
    ]
    return shape + "".join(texts)
