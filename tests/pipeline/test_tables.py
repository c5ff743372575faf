"""Files of rows: the same values from each kind, and errors that say what to repair, and where."""

import random
from pathlib import Path

import pytest

from pipeline.near import near_pairs
from pipeline.tables import read_table
from shared.errors import RecipeError
from tests.pipeline.conftest import write_jsonl

ROWS = [{"text": "央行降准，\n利好", "label": "央行"}, {"text": 'says "cut", then', "label": "市场"}]


def write_parquet(path: Path, rows: list[dict[str, str]]) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def test_each_kind_of_file_gives_the_same_rows(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", ROWS)
    quoted = '\ufefftext,label\r\n"央行降准，\n利好",央行\r\n"says ""cut"", then",市场\r\n'
    (tmp_path / "b.csv").write_text(quoted, encoding="utf-8", newline="")
    write_parquet(tmp_path / "c.parquet", ROWS)
    for name in ("a.jsonl", "b.csv", "c.parquet"):
        assert [value for _, value in read_table(tmp_path / name, ["text", "label"])] == ROWS
    assert [number for number, _ in read_table(tmp_path / "a.jsonl")] == [1, 2]
    assert [number for number, _ in read_table(tmp_path / "b.csv")] == [2, 3]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("gone.csv", None, r"/gone\.csv is missing"),
        ("gone.parquet", None, r"/gone\.parquet is missing"),
        ("a.csv", b"", r"a\.csv is empty"),
        ("a.jsonl", b"\n\n", r"a\.jsonl is empty"),
        ("a.csv", b"text,label\n", r"a\.csv is empty"),
        ("a.csv", b"text,topic\nx,y\n", r"no field 'label'; row 2 has text, topic"),
        (
            "a.csv",
            b"id;text;label\n1;x, z;y\n",
            r"a\.csv, row 1: a single column, 'id;text;label'; a comma must separate the columns",
        ),
        ("a.csv", b"text\tlabel\nx\ty\n", r"a\.csv, row 1: a single column"),
        ("a.csv", b"text,label\nx,y\nx,y,z\n", r"a\.csv, row 3: 3 fields, but the header names 2"),
        ("a.csv", b'text,label\nx,y\n"x,y\n', r"a\.csv, row 3: broken CSV"),
        ("a.csv", b"text,text\nx,y\n", r"a\.csv, row 1: two columns have the same name"),
        ("a.csv", "text,label\nx,y\n央行,z\n".encode("gb18030"), r"a\.csv, row 3: not UTF-8"),
        (
            "a.jsonl",
            b'{"text": "x", "label": "y"}\n[1]\n',
            r"a\.jsonl, row 2: a row is a JSON object, not list",
        ),
        ("a.jsonl", b'{"text": "x", "label": "y"}\n{"text": "x"}\n', r"row 2: field 'label' is missing$"),
        (
            "a.jsonl",
            b'{"text": "x", "label": "y"}\n{"text": "x"}\n{"text": "x"}\n',
            r"row 2: field 'label' is missing \(2 rows in all\)$",
        ),
        ("a.parquet", b"PAR1 but no more", r"a\.parquet is no readable Parquet file"),
        ("a.xlsx", b"PK", r"a\.xlsx: files end with \.jsonl, \.csv, \.parquet"),
    ],
)
def test_a_wrong_file_is_refused_naming_file_row_and_field(
    tmp_path: Path, name: str, content: bytes | None, told: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RecipeError, match=told):
        read_table(tmp_path / name, ["text", "label"])


def test_near_pairs_are_those_of_comparing_every_text_with_every_other() -> None:
    """Against the plain definition, on texts made of few words, so that many are alike."""
    rng = random.Random(5)
    words = ["央行今日", "下调利率", "沪指收涨", "公司公告", "bonds fell", "oil rose"]
    texts = ["".join(rng.choices(words, k=rng.randint(1, 6))) for _ in range(150)] + ["", "短"]
    grams = [{text[at : at + 5] for at in range(max(1, len(text) - 4))} if text else set() for text in texts]
    for threshold in (0.3, 0.7, 1.0):
        expected = {
            (a, b)
            for b in range(len(texts))
            for a in range(b)
            if grams[a] and len(grams[a] & grams[b]) >= threshold * len(grams[a] | grams[b])
        }
        assert len(expected) > 20
        assert {(a, b) for a, b, _ in near_pairs(texts, threshold)} == expected
