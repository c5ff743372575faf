"""A miniature of everything: twelve rows, a recipe of seconds, one training for the whole session."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline import training
from pipeline.prepare import prepare
from pipeline.recipe import Recipe, load_recipe
from pipeline.rows import SPLITS, write_rows
from pipeline.train import run

ROOT = Path(__file__).parents[2]
NEWS = [
    ("央行下调存款准备金率，释放长期资金。", "央行"),
    ("央行开展逆回购操作，利率不变。", "央行"),
    ("The central bank cut its policy rate again.", "央行"),
    ("Policymakers left interest rates on hold.", "央行"),
    ("沪指收盘上涨，券商股领涨两市。", "市场"),
    ("恒生指数低开低走，科技股承压。", "市场"),
    ("Stocks closed higher as banks rallied.", "市场"),
    ("The index slid while chip shares fell.", "市场"),
    ("女足二比零取胜，晋级四强。", "生活"),
    ("周末去哪里看花？这里人少景美。", "生活"),
    ("The home side won the cup final on penalties.", "生活"),
    ("Heavy snow closes schools in the north.", "生活"),
]
RECIPE = """\
name = "tiny"
taxonomy = "{taxonomy}"

[prompt]
user = "{{item}}"
answer = "这条新闻属于：{{label}}"
item_tokens = 64

[tokenizer]
vocabulary = 500
longest_piece = 9

[model]
hidden = 32
layers = 2
heads = 2
kv_heads = 1
head_dim = 16
intermediate = 64

[training]
lm_epochs = 2
label_epochs = 80
batch_tokens = 256
lm_rate = 1e-2
label_rate = 1e-2
leave_out = 0.05
averaging = 0.8
judge_steps = 10
checkpoint_seconds = 1e-6

[[sources]]
name = "authored"
group = "authored"
file = "news.jsonl"
held_out = 0.0
calibration = 0.0
map = {{ "央行" = "货币政策", "市场" = "股市", "生活" = "其他" }}
"""


def write_jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def copy_rows(work: Path, folder: Path) -> None:
    """Prepared rows, for a run of their own."""
    for split in SPLITS:
        shutil.copy(work / f"{split}.jsonl", folder)


def killed_at(which: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Training is interrupted once, before the step that is the `which`-th it begins; gives their numbers."""
    step: Any = training._step
    numbers: list[int] = []

    def killed(state: Any, phase: Any, number: int, recipe: Any) -> float:
        numbers.append(number)
        if len(numbers) == which:
            raise KeyboardInterrupt
        return float(step(state, phase, number, recipe))

    monkeypatch.setattr(training, "_step", killed)
    return numbers


def write_recipe(folder: Path, edit: Callable[[str], str] = lambda text: text) -> Path:
    taxonomy = ROOT / "shared" / "taxonomies" / "newsroom.toml"
    path = folder / "tiny.toml"
    path.write_text(edit(RECIPE.format(taxonomy=taxonomy)), encoding="utf-8")
    return path


SLOTS = """\
name = "two"
[slots]
region = ["中国", "外国", "国际"]
topic = ["公司", "行业", "政策"]
"""


def slot_recipe(folder: Path, edit: Callable[[str], str] = lambda text: text) -> Recipe:
    """The same with two slots, and rows that hold label sets."""
    (folder / "slots.toml").write_text(SLOTS, encoding="utf-8")
    text = RECIPE.format(taxonomy=folder / "slots.toml").replace("这条新闻属于：{label}", "{region}、{topic}")
    source = text.partition("map = ")[0] + 'label = "labels"\npublished = "raw"\n'
    path = folder / "two.toml"
    path.write_text(edit(source), encoding="utf-8")
    return load_recipe(path)


WHERE = {"央行": ["中国", "政策"], "市场": ["外国", "行业"], "生活": ["国际", "公司"]}


@pytest.fixture(scope="session")
def slot_work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recipe (two.toml), data, prepared rows and, in `tiny`, a trained artifact that answers in two slots."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("slots")
    recipe = slot_recipe(folder)
    rows = [{"text": text, "labels": WHERE[label], "raw": WHERE[label]} for text, label in NEWS]
    write_jsonl(folder / "news.jsonl", rows)
    write_rows(prepare(recipe, folder), folder / "work")
    run(recipe, folder / "work", folder / "tiny")
    return folder


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_jsonl(folder / "news.jsonl", [{"text": text, "label": label} for text, label in NEWS])
    return folder


@pytest.fixture(scope="session")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return load_recipe(write_recipe(tmp_path_factory.mktemp("recipe")))


@pytest.fixture(scope="session")
def work(recipe: Recipe, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared rows and, once `artifact` was asked for, the checkpoints of its training."""
    folder = tmp_path_factory.mktemp("work")
    write_rows(prepare(recipe, data), folder)
    return folder


@pytest.fixture(scope="session")
def artifact(recipe: Recipe, work: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained artifact; never written to."""
    torch.set_num_threads(1)
    return run(recipe, work, tmp_path_factory.mktemp("models") / "tiny")
