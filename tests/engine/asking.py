"""A tiny artifact that is asked questions, trained in seconds to answer some kinds of them."""

import random
import tomllib
from copy import deepcopy
from itertools import product
from pathlib import Path

import torch
from transformers import Qwen3ForCausalLM

from shared.questions import Option, Question
from tests.engine.tiny import tiny_tokenizer, write_tiny_artifact
from worker.engine.model import load_tokenizer
from worker.engine.prompt_template import PromptTemplate
from worker.engine.question_prompt import QuestionPrompt

WORDS = ("股市", "利率", "央行", "上涨")  # a token each, as are the words below
LEVELS = (Option("Oil"), Option("下调"), Option("cut"))
ASKING = """
zero_shot = true
[questions]
predicate = "{question}。"
choice = "{question}{options}："
score = "{question}{options}"
option = "{option}，"
level = "{number}{option}"
user = "{item}。{question}"
yes = ["很好", "天气"]
no = ["今天"]
"""


CHAT = (  # short, so that training is
    "{% for message in messages %}<|im_start|>{{ message.content }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>{% endif %}"
)


def write_asking_artifact(folder: Path, table: str = ASKING, **config: object) -> Path:
    """Random weights; `table` is appended to prompt.toml."""
    write_tiny_artifact(folder, **config)
    tokenizer = deepcopy(tiny_tokenizer())
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder)
    path = folder / "prompt.toml"
    path.write_text(path.read_text(encoding="utf-8") + table, encoding="utf-8")
    return folder


def samples(taught: bool) -> list[tuple[str, Question, int]]:
    """(text of three words, a question about one of them, place of the right answer): every fifth is for
    tests, the others are taught."""
    everything = []
    for words in product(WORDS, repeat=3):
        for word in WORDS:
            text, count = "".join(words), words.count(word)
            everything.append((text, Question("predicate", word), 0 if count else 1))
            everything.append((text, Question("score", word, LEVELS), min(count, 2)))
    return [one for place, one in enumerate(everything) if (place % 5 > 0) == taught]


def train(folder: Path, steps: int = 100, size: int = 96, seed: int = 0) -> None:
    """Teach the artifact's model, asked as it is when it serves."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    draw = random.Random(seed)
    rows = [encode(*one, prompt=_prompt(folder)) for one in samples(taught=True)]
    model = Qwen3ForCausalLM.from_pretrained(folder)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(steps):
        batch = draw.sample(rows, size)
        width = max(len(ids) for ids, _ in batch)
        ids = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in batch])
        targets = torch.tensor([said + [-100] * (width - len(said)) for _, said in batch])
        loss = model(input_ids=ids, labels=targets).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    model.eval().save_pretrained(folder)


def encode(text: str, question: Question, right: int, prompt: QuestionPrompt) -> tuple[list[int], list[int]]:
    """Tokens of the prompt with its right answer, and what of them is learnt."""
    before = [*prompt.head, *prompt.item(text).ids, *prompt.tail(question)]
    said = prompt.labels(question).sequences[right]
    return [*before, *said], [*([-100] * len(before)), *said]


def _prompt(folder: Path) -> QuestionPrompt:
    table = tomllib.loads((folder / "prompt.toml").read_text("utf-8"))
    return QuestionPrompt(PromptTemplate.model_validate(table), load_tokenizer(folder))
