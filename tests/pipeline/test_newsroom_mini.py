"""The model that ships: small, complete, honest about itself, and right on what nobody may get wrong."""

import json
import re

import pytest

from pipeline.tokenizer import SPECIAL
from shared.settings import Settings
from tests.pipeline.test_corpus import ROOT, held_out
from worker.engine.artifact import open_artifact
from worker.engine.model import load_tokenizer
from worker.engine.protocol import Classification
from worker.engine.transformers_engine import TransformersEngine

MINI = ROOT / "models" / "newsroom-mini"
MEBIBYTE = 2**20
ABSOLUTE = re.compile(r"(?<![\w.:/])/(home|root|tmp|mnt|opt|usr|var|Users)/|[A-Z]:\\\\\w")

OBVIOUS = [
    ("央行宣布下调存款准备金率0.5个百分点", "货币政策"),
    ("请分析新闻类别：央行宣布下调存款准备金率0.5个百分点", "货币政策"),
    ("人民币兑美元中间价报7.1021，上调115个基点", "外汇"),
    ("比特币跌破6万美元", "数字货币"),
    ("国际油价大幅上涨，布伦特原油突破90美元", "能源"),
    ("皇马2比1击败巴萨，夺得西甲冠军", "其他"),
    ("沪指收涨1.2%，创业板指涨2%", "股市"),
    ("某公司：上半年净利润同比增长35%", "公司"),
    ("10年期国债收益率下行3个基点", "债券"),
    ("Fed cuts interest rates by 25 basis points", "货币政策"),
    ("Oil prices jump as OPEC cuts output", "能源"),
    ("Bitcoin falls below $60,000", "数字货币"),
    ("10-year Treasury yield rises to 4.5%", "债券"),
    ("Apple reports quarterly earnings above expectations", "公司"),
    ("Existing home sales fall for a third month", "房地产"),
]


@pytest.fixture(scope="module")
def engine() -> TransformersEngine:
    return TransformersEngine.load(Settings(model=str(MINI), quantization="fp32", torch_threads=1))


def test_it_is_small_enough_to_stand_in_the_repository() -> None:
    assert sum(path.stat().st_size for path in MINI.iterdir()) <= 20 * MEBIBYTE


def test_it_is_complete_and_its_taxonomy_is_the_newsroom_s() -> None:
    artifact = open_artifact(MINI)
    assert artifact.name == "newsroom-mini"
    shared = (ROOT / "shared" / "taxonomies" / "newsroom.toml").read_text(encoding="utf-8")
    assert (MINI / "taxonomy.toml").read_text(encoding="utf-8") == shared
    for data_type in ("fp32", "bf16", "int8", "nf4"):
        assert data_type in artifact.calibration.temperature
        wished = [one.precision for one in artifact.calibration.abstain[data_type]]
        assert wished == [0.9, 0.95]


@pytest.mark.parametrize(("text", "label"), OBVIOUS)
def test_obvious_news_is_filed_right(engine: TransformersEngine, text: str, label: str) -> None:
    answer = engine.classify([text])[0]
    assert isinstance(answer, Classification)
    assert answer.label == label
    assert answer.answer == f"这条新闻属于：{label}"


def test_no_piece_of_its_vocabulary_is_longer_than_five_chinese_characters() -> None:
    assert max(map(len, set(load_tokenizer(MINI).get_vocab()) - set(SPECIAL))) <= 16


def test_it_names_no_place_on_the_machine_that_made_it() -> None:
    for path in MINI.iterdir():
        if path.suffix in (".json", ".toml", ".md", ".jinja"):
            found = ABSOLUTE.search(path.read_text(encoding="utf-8"))
            assert not found, f"{path.name}: {found}"


def test_the_card_gives_the_figures_that_were_measured() -> None:
    metrics = json.loads((MINI / "metrics.json").read_text(encoding="utf-8"))
    card = (MINI / "README.md").read_text(encoding="utf-8")
    for group, measured in metrics["groups"].items():
        assert f"| {group} | {measured['items']} | {measured['accuracy']:.3f} |" in card
    assert metrics["groups"]["Chinese flash news"]["accuracy"] >= 0.8


def test_the_figures_on_written_items_can_be_had_again(engine: TransformersEngine) -> None:
    """The committed items and weights give the committed figures, within one item in a hundred."""
    groups = json.loads((MINI / "metrics.json").read_text(encoding="utf-8"))["groups"]
    items = held_out()
    answers = engine.classify([item["text"] for item in items])
    right = sum(getattr(a, "label", None) == item["label"] for a, item in zip(answers, items, strict=True))
    written = [groups[name] for name in ("written Chinese", "written English", "long articles")]
    claimed = sum(group["accuracy"] * group["items"] for group in written)
    assert right == pytest.approx(claimed, abs=len(items) / 100)
