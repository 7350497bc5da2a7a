"""Flow charts: what is understood, where boxes stand, and what is left to the source."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import forge_scene as scene
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.local_forge.web import flowchart
from learner.local_forge.web.flowchart import draw, parse


def test_the_subset_is_understood() -> None:
    chart = parse(scene.CHART)
    assert chart
    assert chart.nodes["start"].shape == "round"
    assert chart.nodes["v_port"].shape == "choice"
    assert chart.nodes["s_look"].lines == ["look: check_service_status"]
    assert chart.nodes["s_clear"].css == "added"
    assert chart.styles["changed"] == {"fill": "#fff8c5", "stroke": "#9a6700", "color": "#3b2300"}
    assert [(e.start, e.end, e.label, e.dashed) for e in chart.edges][3:5] == [
        ("s_start", "s_answer", "", False),
        ("s_start", "done", "fails", True),
    ]


def test_names_with_hyphens_and_no_spaces() -> None:
    chart = parse('flowchart TD\n s_clear-pid["x"]-->b-.->c-1\n')
    assert chart
    assert list(chart.nodes) == ["s_clear-pid", "b", "c-1"]


def test_chains_and_classes() -> None:
    chart = parse('flowchart TD\na["A"] --> b{"B?"} -->|yes| c\n%% a note\nclass a,c hot;\nclassDef hot fill:red\n')
    assert chart
    assert [(e.start, e.end, e.label) for e in chart.edges] == [("a", "b", ""), ("b", "c", "yes")]
    assert (chart.nodes["a"].css, chart.nodes["c"].css) == ("hot", "hot")


@pytest.mark.parametrize(
    "source",
    [
        "",
        "graph LR\na-->b",
        "sequenceDiagram\nA->>B: x",
        "flowchart TD\nsubgraph x\na\nend",
        "flowchart TD\na -- text --> b",
        "flowchart TD\na-->",
        "flowchart TD\nclick a href",
    ],
)
def test_the_rest_is_left_to_the_source(source: str) -> None:
    assert draw(source) is None


def test_what_stands_on_an_arrow_lies_on_the_picture() -> None:
    svg = draw('flowchart TD\na["A"] -->|"if state.services[name] is not running"| b["B"]\n')
    assert svg
    root = ET.fromstring(svg)
    left, _, width, _ = map(float, root.attrib["viewBox"].split())
    boxes = [one for one in root.iter() if one.get("class") == "edge-label-box"]
    assert boxes
    for box in boxes:
        assert left <= float(box.attrib["x"])
        assert float(box.attrib["x"]) + float(box.attrib["width"]) <= left + width


def test_too_big_is_left_to_the_source() -> None:
    assert draw("flowchart TD\n" + "\n".join(f"n{i} --> n{i + 1}" for i in range(flowchart.MAX_NODES))) is None


def test_the_svg_is_well_formed_and_plain() -> None:
    svg = draw('flowchart TD\n a["#60;b#62; & #quot;x#quot; <i>"] -->|"if 1 < 2"| b\n b --> a')
    assert svg
    root = ET.fromstring(svg)
    names = {re.sub("{.*}", "", e.tag) for e in root.iter()}
    assert names <= {"svg", "defs", "marker", "path", "rect", "polygon", "text"}
    texts = [e.text for e in root.iter("text")]
    assert '<b> & "x" <i>' in texts
    assert "if 1 < 2" in texts


def test_colours_are_colours() -> None:
    svg = draw('flowchart TD\n a["x"]:::b\n classDef b fill:url(#x),stroke:#12345,color:"onclick')
    assert svg
    assert "url(#x)" not in svg
    assert 'stroke="#12345"' in svg
    assert "onclick" not in svg


def _boxes(svg: str) -> list[tuple[float, float, float, float]]:
    found = [e for e in ET.fromstring(svg).iter("rect") if "node" in e.get("class", "").split()]
    return [
        (float(e.get("x", 0)), float(e.get("y", 0)), float(e.get("width", 0)), float(e.get("height", 0))) for e in found
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20))
def test_boxes_never_overlap(edges: list[tuple[int, int]]) -> None:
    svg = draw("flowchart TD\n" + "\n".join(f'n{a}["node number {a}"] --> n{b}["node number {b}"]' for a, b in edges))
    assert svg
    boxes = _boxes(svg)
    assert len(boxes) == len({n for edge in edges for n in edge})
    width = float(ET.fromstring(svg).get("width", 0))
    for i, (x, y, w, h) in enumerate(boxes):
        assert x >= 0
        assert x + w <= width + 1
        for x2, y2, w2, h2 in boxes[i + 1 :]:
            assert x + w <= x2 + 0.2 or x2 + w2 <= x + 0.2 or y + h <= y2 + 0.2 or y2 + h2 <= y + 0.2


def test_steps_run_downwards() -> None:
    svg = draw("flowchart TD\n a --> b --> c\n a --> c\n c -.->|again| a")
    assert svg
    tops = [y for _, y, _, _ in _boxes(svg)]
    assert tops == sorted(tops)
    assert len(set(tops)) == 3
