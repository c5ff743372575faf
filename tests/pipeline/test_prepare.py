"""What prepare refuses, drops and keeps apart."""

import re
from pathlib import Path

import pytest

from pipeline.findings import Findings
from pipeline.prepare import ensure_prepared, prepare
from pipeline.recipe import Recipe, load_recipe
from pipeline.rows import Row, key, read_rows, write_rows
from pipeline.train import make_tokenizer
from shared.errors import RecipeError
from tests.pipeline.conftest import slot_recipe, write_jsonl, write_recipe


def test_an_unknown_label_is_refused_with_file_and_row(recipe: Recipe, tmp_path: Path) -> None:
    write_jsonl(
        tmp_path / "news.jsonl", [{"text": "央行降准", "label": "央行"}, {"text": "新股", "label": "打新"}]
    )
    with pytest.raises(RecipeError, match=r"news\.jsonl, row 2: label '打新'"):
        prepare(recipe, tmp_path)


def test_a_line_that_is_not_json_is_refused_with_its_row(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "news.jsonl").write_text(
        '{"text": "央行降准", "label": "央行"}\n{"text":\n', encoding="utf-8"
    )
    with pytest.raises(RecipeError, match=r"news\.jsonl, row 2: not JSON"):
        prepare(recipe, tmp_path)


def test_copies_of_a_text_are_kept_once_whatever_their_punctuation_and_links(
    recipe: Recipe, tmp_path: Path
) -> None:
    texts = [
        "央行降准，利好股市！",
        "央行降准 利好股市",
        "央行降准，利好股市 https://example.org/a",
        "央行降息",
    ]
    write_jsonl(tmp_path / "news.jsonl", [{"text": text, "label": "央行"} for text in texts])
    assert [key(row.text) for row in prepare(recipe, tmp_path)] == ["央行降准利好股市", "央行降息"]


def test_no_text_stands_in_two_splits(tmp_path: Path) -> None:
    """A copy of a held-out text elsewhere in the file must not be trained on."""
    recipe = load_recipe(
        write_recipe(
            tmp_path, lambda text: text.replace("held_out = 0.0", 'held_out = 0.3\nheld_out_by = "order"')
        )
    )
    texts = [f"第{number}家公司公布业绩" for number in range(10)]
    texts[0] = texts[9] + "。"
    write_jsonl(tmp_path / "news.jsonl", [{"text": text, "label": "市场"} for text in texts])
    rows = prepare(recipe, tmp_path)
    held_out = {key(row.text) for row in rows if row.split == "held_out"}
    assert held_out == {key(text) for text in texts[7:]}
    assert not held_out & {key(row.text) for row in rows if row.split != "held_out"}


def test_texts_of_an_excluded_file_are_left_out(tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path, lambda text: f'exclude = ["test.jsonl"]\n{text}'))
    write_jsonl(
        tmp_path / "news.jsonl", [{"text": text, "label": "央行"} for text in ("央行降准", "央行降息")]
    )
    write_jsonl(tmp_path / "test.jsonl", [{"text": "央行降准。"}])
    assert [row.text for row in prepare(recipe, tmp_path)] == ["央行降息"]


def test_a_ruling_decides_before_the_map_and_dropped_rows_keep_their_text_when_asked(tmp_path: Path) -> None:
    ruling = (
        '\nkeep_dropped = true\ndrop = ["杂"]\nrulings = [{pattern = "比特币|bitcoin", label = "数字货币"}]\n'
    )
    recipe = load_recipe(write_recipe(tmp_path, lambda text: text + ruling))
    rows = [("Bitcoin tops a record", "市场"), ("比特币大跌", "杂"), ("随便说说", "杂")]
    write_jsonl(tmp_path / "news.jsonl", [{"text": text, "label": label} for text, label in rows])
    assert [(row.label, row.split) for row in prepare(recipe, tmp_path)] == [
        ("数字货币", "train"),
        ("数字货币", "train"),
        ("", "unlabelled"),
    ]


def test_preparing_twice_gives_the_same_files(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_rows(prepare(recipe, data), tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_rows_of_an_older_recipe_are_prepared_again(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    """They could hold out other rows than the model's, and so measure it on what it learnt."""
    ensure_prepared(recipe, data, tmp_path)
    (tmp_path / "train.jsonl").write_text("", encoding="utf-8")
    ensure_prepared(recipe, data, tmp_path)
    assert read_rows(tmp_path, "train") == []
    source = recipe.sources[0].model_copy(update={"repeat": 2})
    ensure_prepared(recipe.model_copy(update={"sources": (source,)}), data, tmp_path)
    assert len(read_rows(tmp_path, "train")) == 12


def test_rows_of_files_that_changed_are_prepared_again(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    """What is mended in the data, a conflict say, must be learned."""
    ensure_prepared(recipe, data, tmp_path / "work")
    write_jsonl(tmp_path / "news.jsonl", [{"text": "央行降准", "label": "市场"}])
    ensure_prepared(recipe, tmp_path, tmp_path / "work")
    assert [row.label for row in read_rows(tmp_path / "work", "train")] == ["股市"]
    with pytest.raises(RecipeError, match=r"nowhere/news\.jsonl is missing"):
        ensure_prepared(recipe, tmp_path / "nowhere", tmp_path / "work")


def test_a_tokenizer_made_of_texts_that_are_now_measured_on_is_forgotten(
    recipe: Recipe, data: Path, tmp_path: Path
) -> None:
    ensure_prepared(recipe, data, tmp_path)
    make_tokenizer(recipe, read_rows(tmp_path, "train"), tmp_path / "tokenizer")
    (tmp_path / "language.pt").touch()
    for change, stays in (({"repeat": 2}, True), ({"held_out": 0.4, "held_out_by": "order"}, False)):
        source = recipe.sources[0].model_copy(update=change)
        ensure_prepared(recipe.model_copy(update={"sources": (source,)}), data, tmp_path)
        assert (tmp_path / "tokenizer").exists() is (tmp_path / "language.pt").exists() is stays


def test_rows_of_an_older_taxonomy_are_prepared_again(tmp_path: Path) -> None:
    """Else a label that is no more would be learned."""
    pairs = {"bank": "央行", "market": "市场"}
    own = 'name = "own"\n' + "".join(
        f'[[labels]]\nid = "{en}"\nen = "{en}"\nzh = "{zh}"\n' for en, zh in pairs.items()
    )
    (tmp_path / "own.toml").write_text(own, encoding="utf-8")
    path = write_recipe(
        tmp_path,
        lambda text: re.sub(
            "^taxonomy = .*", 'taxonomy = "own.toml"', text.partition("map = ")[0], flags=re.M
        ),
    )
    write_jsonl(tmp_path / "news.jsonl", [{"text": "沪指收盘上涨", "label": "市场"}])
    ensure_prepared(load_recipe(path), tmp_path, tmp_path / "work")
    (tmp_path / "own.toml").write_text(own.replace("市场", "股市"), encoding="utf-8")
    with pytest.raises(RecipeError, match=r"news\.jsonl, row 1: label '市场'"):
        ensure_prepared(load_recipe(path), tmp_path, tmp_path / "work")


def test_each_step_that_prepares_by_itself_tells_what_came_of_it_and_only_then(
    recipe: Recipe, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ensure_prepared(recipe, data, tmp_path)
    assert "conflicts: 0" in capsys.readouterr().out
    assert (tmp_path / "prepared.html").is_file()
    ensure_prepared(recipe, data, tmp_path)
    assert not capsys.readouterr().out


def test_rows_survive_their_file(tmp_path: Path) -> None:
    row = Row("7", "换行\u2028在此", "其他", "authored", "train", 2)
    write_rows([row], tmp_path)
    assert read_rows(tmp_path, "train") == [row]


def test_missing_rows_say_which_command_makes_them(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"python -m pipeline\.prepare"):
        read_rows(tmp_path, "train")


def test_an_unknown_label_is_named_once_with_its_first_rows_and_the_label_that_may_be_meant(
    recipe: Recipe, tmp_path: Path
) -> None:
    """Twenty rows of one label hid all other unknown labels."""
    labels = [*["打新"] * 20, "Stock markets", "央行"]
    write_jsonl(
        tmp_path / "news.jsonl", [{"text": f"第{n}条", "label": label} for n, label in enumerate(labels)]
    )
    told = r"rows 1, 2, 3, … \(20 in all\): label '打新'; row 21: label 'Stock markets' \(is '股市' m"
    with pytest.raises(RecipeError, match=told):
        prepare(recipe, tmp_path)


def test_rows_that_share_an_id_are_refused_because_reports_name_rows_by_it(
    recipe: Recipe, tmp_path: Path
) -> None:
    rows = [{"id": id_, "text": f"第{n}条", "label": "央行"} for n, id_ in enumerate(["a", "7", 7])]
    write_jsonl(tmp_path / "news.jsonl", rows)
    with pytest.raises(RecipeError, match=r"news\.jsonl, rows 2 and 3: both have id 7"):
        prepare(recipe, tmp_path)


def test_an_empty_id_is_none(recipe: Recipe, tmp_path: Path) -> None:
    rows = [{"id": id_, "text": f"第{n}条", "label": "央行"} for n, id_ in enumerate(["", None, 0])]
    write_jsonl(tmp_path / "news.jsonl", rows)
    assert [row.id for row in prepare(recipe, tmp_path)] == ["news.jsonl:1", "news.jsonl:2", "0"]


def test_rows_without_a_label_are_not_counted_as_dropped_by_the_recipe(tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path, lambda text: text + '\ndrop = ["杂"]\n'))
    labels = ["央行", "", None, "杂"]
    write_jsonl(
        tmp_path / "news.jsonl", [{"text": f"第{n}条", "label": label} for n, label in enumerate(labels)]
    )
    findings = Findings()
    assert len(prepare(recipe, tmp_path, findings)) == 1
    assert findings.left_out == {"without a label": 2, "dropped by the recipe": 1}


def test_all_unknown_labels_are_named_up_to_a_bound(recipe: Recipe, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "news.jsonl", [{"text": f"第{n}条新闻", "label": f"杂{n}"} for n in range(30)])
    with pytest.raises(RecipeError, match=r"row 1: label '杂0'.*row 20: label '杂19'; and 10 more: not in"):
        prepare(recipe, tmp_path)


LONG = "央行宣布下调金融机构存款准备金率零点五个百分点，释放长期资金约一万亿元，市场流动性保持合理充裕"


def held_out_by(folder: Path, how: str, share: float = 0.3) -> Recipe:
    return load_recipe(
        write_recipe(folder, lambda text: text.replace("held_out = 0.0", f"held_out = {share}\n{how}"))
    )


def test_near_copies_never_stand_on_both_sides_and_the_training_side_goes(tmp_path: Path) -> None:
    recipe = held_out_by(tmp_path, 'held_out_by = "order"', 0.25)
    texts = [LONG[:-2], "沪指收涨", "国际油价大跌", LONG]
    labels = ["市场", "市场", "市场", "央行"]
    write_jsonl(
        tmp_path / "news.jsonl",
        [
            {"text": t, "label": label, "id": f"n{n}"}
            for n, (t, label) in enumerate(zip(texts, labels, strict=True))
        ],
    )
    findings = Findings()
    assert [row.id for row in prepare(recipe, tmp_path, findings)] == ["n3", "n1", "n2"]
    (repeat,) = findings.conflicts
    assert (repeat.kept, repeat.dropped, repeat.labels) == ("n3", "n0", ("货币政策", "股市"))
    assert repeat.across
    assert findings.left_out == {"nearly another row": 1}
    lenient = recipe.model_copy(update={"near_duplicates": 0.0})
    assert len(prepare(lenient, tmp_path)) == 4


def test_rows_can_be_held_out_by_time_and_those_of_one_moment_stay_together(tmp_path: Path) -> None:
    recipe = held_out_by(tmp_path, 'held_out_by = "time"\nheld_out_field = "at"')
    days = ["2026-03-01", "2026-01-05T08:00:00", "2026-03-01", "2026-02-01", "2026-01-01"]
    rows = [{"text": f"第{n}条", "label": "市场", "at": day, "id": n} for n, day in enumerate(days)]
    write_jsonl(tmp_path / "news.jsonl", rows)
    assert {row.id for row in prepare(recipe, tmp_path) if row.split == "held_out"} == {"0", "2"}
    write_jsonl(tmp_path / "news.jsonl", [*rows, {"text": "末", "label": "市场", "at": "gestern"}])
    with pytest.raises(RecipeError, match=r"news\.jsonl, row 6: at 'gestern' is no time"):
        prepare(recipe, tmp_path)


def test_rows_can_be_held_out_by_source(tmp_path: Path) -> None:
    recipe = held_out_by(tmp_path, 'held_out_by = "source"\nheld_out_field = "site"')
    rows = [{"text": f"第{n}条新闻", "label": "市场", "site": f"site {n % 12}"} for n in range(120)]
    write_jsonl(tmp_path / "news.jsonl", rows)
    sites: dict[str, set[str]] = {}
    for row in prepare(recipe, tmp_path):
        sites.setdefault(row.split, set()).add(rows[int(row.id.split(":")[1]) - 1]["site"])
    assert sites["held_out"]
    assert sites["held_out"] | sites["train"] == {f"site {n}" for n in range(12)}
    assert not sites["held_out"] & sites["train"]


def test_a_row_carries_a_value_for_each_slot_and_the_others_that_are_right_too(tmp_path: Path) -> None:
    recipe = slot_recipe(tmp_path)
    write_jsonl(
        tmp_path / "news.jsonl",
        [
            {"text": "国内公司", "labels": ["中国", "公司", "行业"], "raw": ["中国", "公司", "行 业"]},
            {"text": "只有话题", "labels": ["公司"], "raw": ["公司"]},
        ],
    )
    findings = Findings()
    (row,) = prepare(recipe, tmp_path, findings)
    assert (row.label, row.also) == ("中国、公司", ("中国、行业",))
    assert row.published == ("中国", "公司", "行 业")
    assert [one.label for one in row.answered] == ["中国、公司", "中国、行业"]
    assert findings.left_out == {"dropped by the recipe, or no value for a slot": 1}
    write_jsonl(tmp_path / "news.jsonl", [{"text": "x", "labels": ["中国", "打新"], "raw": []}])
    with pytest.raises(RecipeError, match=r"row 1: label '打新'"):
        prepare(recipe, tmp_path)


def test_slots_can_stand_in_fields_of_their_own(tmp_path: Path) -> None:
    fields = 'slots = { region = "where", topic = "what" }'
    recipe = slot_recipe(tmp_path, lambda text: text.replace('label = "labels"\npublished = "raw"', fields))
    rows = [{"text": "国内公司", "where": "中国", "what": "公司"}]
    rows += [{"text": f"第{n}条", "where": where, "what": None} for n, where in enumerate(["中国", None])]
    write_jsonl(tmp_path / "news.jsonl", rows)
    findings = Findings()
    assert [row.label for row in prepare(recipe, tmp_path, findings)] == ["中国、公司"]
    assert findings.left_out == {"dropped by the recipe, or no value for a slot": 1, "without a label": 1}
    half = slot_recipe(
        tmp_path, lambda text: text.replace('label = "labels"', 'slots = { region = "where" }')
    )
    with pytest.raises(RecipeError, match="slots must name a field for each of region, topic"):
        prepare(half, tmp_path)


def test_the_shortest_recipe_of_the_documents_prepares_rows(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    written = (root / "docs" / "pipeline.md").read_text(encoding="utf-8")
    shortest = written.partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "desk.toml").write_text(
        shortest.replace("../../shared", str(root / "shared")), encoding="utf-8"
    )
    write_jsonl(tmp_path / "desk.jsonl", [{"text": "沪指收涨", "label": "股市"}])
    (row,) = prepare(load_recipe(tmp_path / "desk.toml"), tmp_path)
    assert (row.label, row.group) == ("股市", "desk news")
