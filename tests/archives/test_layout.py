"""Layouts with holes: nothing is lost, whoever puts them together, and nothing but holes is understood."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.telemetry.data import raw, result
from learner.archives.layout import WORDS, Filler, split

TEXTS = st.text() | st.lists(st.sampled_from(["{", "}", "{0}", "{{1}}", "12", "4711", "x9", '"a":', "é", " "])).map(
    "".join
)


@given(TEXTS)
def test_law_a_text_is_its_layout_filled(text: str) -> None:
    layout, words = split(text)
    assert Filler().filled(layout, words) == text
    assert layout.format(*words) == text, "what Python makes of it"


def test_what_repeats_is_written_once_and_many_words_stay_in_the_layout() -> None:
    layout, words = split('{"id":"INC-4711","of":"INC-4711","tries":3,"more":3}')
    assert (layout, words) == ('{{"id":"{0}","of":"{0}","tries":{1},"more":{2}}}', ["INC-4711", "3", "3"])
    text = " ".join(str(number) for number in range(1000, 1500))
    layout, words = split(text)
    assert len(words) == WORDS
    assert Filler().filled(layout, words) == text


@pytest.mark.parametrize("text", ["a" * 1_000_000, "a." * 500_000, "a-" * 500_000, "{" * 1_000_000, "1a" * 500_000])
def test_long_texts_take_linear_time(text: str) -> None:
    begun = time.process_time()
    layout, words = split(text)
    assert Filler().filled(layout, words) == text
    assert time.process_time() - begun < 5


@pytest.mark.parametrize("layout", ["{0.__class__}", "{0!r}", "{0:>9999999}", "{0[0]}", "{name}", "{}"])
def test_nothing_but_holes_is_understood(layout: str) -> None:
    assert Filler().filled(layout, ["a"]) == layout


def test_a_layout_that_grows_without_end_or_lacks_a_word_is_refused() -> None:
    with pytest.raises(ValueError, match="more of its words"):
        Filler().filled("{0}" * 1000, ["x" * 100_000])
    with pytest.raises(ValueError, match="no word fills"):
        Filler().filled("{0}{7}", ["x"])


def test_results_of_one_kind_share_layouts(tmp_path_factory: pytest.TempPathFactory) -> None:
    pytest.importorskip("pyarrow")
    from learner.archives.read import read
    from learner.telemetry import parquet

    rows = [(raw(number)[1], result(number)) for number in range(600)]
    target = tmp_path_factory.mktemp("archive") / "x.parquet"
    parquet.write(target, rows)
    assert dict(read(target)) == dict(raw(number) for number in range(600))
    size = target.stat().st_size / 600
    assert size < 250, "bytes a result; a small file carries its columns' names"
    wanted = frozenset({rows[5][1].execution_id, rows[77][1].execution_id})
    assert sorted(path.rpartition("/")[2][:-5] for path, _ in read(target, wanted)) == sorted(wanted)


def test_duckdb_and_pandas_read_what_was_written(tmp_path_factory: pytest.TempPathFactory) -> None:
    duckdb, pandas = pytest.importorskip("duckdb"), pytest.importorskip("pandas")
    from learner.telemetry import parquet

    target = tmp_path_factory.mktemp("archive") / "x.parquet"
    parquet.write(target, [(raw(number)[1], result(number)) for number in range(3)])
    whole = f"SELECT format(layout, *COLUMNS('v[0-9]+')) FROM '{target}'"  # the line that docs/telemetry.md gives
    assert [row[0].encode() for row in duckdb.sql(whole).fetchall()] == [raw(number)[1] for number in range(3)]
    table = pandas.read_parquet(target)
    assert list(table["execution_id"]) == [result(number).execution_id for number in range(3)]
