"""A recipe and prepared rows -> a trained artifact.

python -m pipeline.train --recipe pipeline/recipes/newsroom-mini.toml --data DIR

Data that has not been prepared with this recipe's sources is prepared first. A run that was killed goes
on where it was.
"""

import os
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.batches import Example, balanced, collate, encode
from pipeline.calibration import Judge
from pipeline.excerpts import excerpts
from pipeline.kept import fingerprint
from pipeline.lesson import Lesson, lesson_layer
from pipeline.losses import Weights, weighted_loss
from pipeline.noise import Noise
from pipeline.prepare import arguments, ensure_prepared
from pipeline.publish import check_output, publish
from pipeline.recipe import ModelShape, Recipe, load_recipe, progress
from pipeline.rows import Row, read_rows
from pipeline.teacher import own_encoder, word_vectors
from pipeline.teaching import teach
from pipeline.tokenizer import PAD, train_tokenizer
from pipeline.training import Phase, epochs, train
from shared.errors import RecipeError, WiredeskError
from shared.taxonomy import load_taxonomy
from worker.engine.labels import LabelSet, labels_of
from worker.engine.prompt import Prompt

COPIES_OF_THE_FRAME = 3000  # the prompt's own words and the labels must become whole tokens
LONGEST_PROMPT = 4096  # tokens
LITTLE = 0.9  # of what guessing costs


@dataclass(frozen=True)
class Answers:
    """What is asked, how it is judged, and what a teacher thinks of the rows, if there is one."""

    prompt: Prompt
    judge: Judge
    lesson: Lesson | None = None


def main() -> None:
    parser = arguments("Train a model from scratch and write its artifact.")
    parser.add_argument("--output", type=Path, help="artifact folder (default models/<name>)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = load_recipe(options.recipe)
    work = options.work or Path("runs") / recipe.name
    output = options.output or Path("models") / recipe.name
    check_output(output)  # now, not after an hour's work
    ensure_prepared(recipe, options.data, work)
    artifact = run(recipe, work, output)
    given = f"--recipe {options.recipe} --data {options.data} --work {work} --artifact {artifact}"
    progress(f"wrote {artifact}; next: python -m pipeline.calibrate {given}, then pipeline.evaluate")


def run(recipe: Recipe, work: Path, output: Path) -> Path:
    """Train on the rows in `work` and write the artifact to `output`, all at once, at the end."""
    rows = [one for row in read_rows(work, "train") for one in row.answered]
    unlabelled, checked = read_rows(work, "unlabelled"), read_rows(work, "calibration")
    tokenizer = make_tokenizer(recipe, [*read_rows(work, "train"), *unlabelled], work / "tokenizer")
    taxonomy = load_taxonomy(recipe.taxonomy)
    prompt = Prompt(recipe.prompt, tokenizer, names=taxonomy.names)
    labels = labels_of(taxonomy, prompt)
    if not isinstance(labels, LabelSet):
        raise RecipeError("training knows answers of one {label} or of slots, and no {verdict}")
    judge = Judge(prompt, labels, checked)
    torch.manual_seed(recipe.training.seed)
    model = make_model(recipe.model, tokenizer)
    texts, lesson, teacher = [*rows, *unlabelled], None, recipe.teacher
    if teacher and teacher.epochs:
        parts = excerpts(texts, teacher.excerpts, recipe.training.seed)
        splits = {"train": rows, "unlabelled": [*unlabelled, *parts], "calibration": checked}
        lesson, rows = teach(recipe, teacher, splits, prompt, labels.names, work)
        torch.manual_seed(recipe.training.seed)
    if teacher:
        words = word_vectors(own_encoder(teacher, recipe), tokenizer, recipe.model.hidden)
        model.get_input_embeddings().weight.data.copy_(words)
    if recipe.training.lm_epochs:
        learn_language(model, encode(texts, prompt), recipe, work)
    learn_labels(model, encode(rows, prompt), rows, Answers(prompt, judge, lesson), recipe, work)
    temperature, loss = judge.fit(model)
    if not checked:
        progress("no calibration rows: the last weights are kept, and probabilities stay as they are")
    elif loss > LITTLE * judge.ignorance:
        progress(
            f"warning: the model learned next to nothing: {loss:.3f} nats on the calibration rows, of "
            f"{judge.ignorance:.3f} for guessing by the labels' frequency. Few rows need many small steps: "
            "raise label_epochs, lower batch_tokens and averaging (docs/pipeline.md)"
        )
    return publish(model, tokenizer, recipe, work, output, temperature)


def learn_language(model: Any, examples: list[Example], recipe: Recipe, work: Path) -> None:
    """Next-token training on the items alone. Kept when only labels change: it has seen none."""
    training = recipe.training
    batches = epochs(training.lm_epochs, lengths(examples), lambda _: range(len(examples)), training)

    def loss(model: Any, number: int) -> torch.Tensor:
        batch = collate([examples[i] for i in batches[number]])
        return weighted_loss(model, batch, Weights(text=1.0), training)

    phase = Phase("language", len(batches), training.lm_rate, loss)
    key = fingerprint(recipe.model.model_dump(), recipe.tokenizer.model_dump(), training.lm_epochs)
    train(model, phase, training, work / "language.pt", key)


def learn_labels(
    model: Any,
    examples: list[Example],
    rows: list[Row],
    answers: Answers,
    recipe: Recipe,
    work: Path,
) -> None:
    """Loss on the answer alone, as rows and teacher have it; rare labels more often; noise on items."""
    training, lesson, weights = recipe.training, answers.lesson, _weights(recipe)
    batches = epochs(
        training.label_epochs,
        lengths(examples),
        lambda seed: balanced(rows, training.balance, seed),
        training,
    )
    noise = Noise(answers.prompt, training)

    def loss(model: Any, number: int) -> torch.Tensor:
        rng = random.Random(training.seed * 1_000_003 + number)  # noqa: S311 - a resumed run sees the same noise
        numbers = batches[number]
        batch = collate([noise(examples[i], rng) for i in numbers])
        return weighted_loss(model, batch, weights, training, lesson.of(numbers) if lesson else None)

    phase = Phase("labels", len(batches), training.label_rate, loss, answers.judge)
    key = fingerprint(
        recipe.model.model_dump(),
        recipe.prompt.score_end,  # the judge depends on it
        training.model_dump(),
        recipe.teacher.model_dump() if recipe.teacher else None,
        batches,
        [one.ids for one in examples],
        lesson.probabilities.tolist() if lesson else [],
    )
    with lesson_layer(model, lesson if weights.vectors else None):
        train(model, phase, training, work / "labels.pt", key)


def _weights(recipe: Recipe) -> Weights:
    teacher, text = recipe.teacher, recipe.training.lm_weight
    if not teacher or not teacher.epochs:
        return Weights(text, label=1.0)
    return Weights(text, 1.0 - teacher.weight, teacher.weight, teacher.vector_weight)


def lengths(examples: Sequence[Example]) -> list[int]:
    return [len(example.ids) for example in examples]


def make_tokenizer(recipe: Recipe, rows: list[Row], folder: Path) -> Any:
    """Trained once and kept, so that a resumed run reads the same tokens."""
    from transformers import AutoTokenizer

    if not (folder / "tokenizer.json").is_file():
        frame = ["user\nassistant\n\n\n", recipe.prompt.answer.partition("{")[0]]
        frame += load_taxonomy(recipe.taxonomy).names
        texts = [*(row.text for row in rows), *frame * COPIES_OF_THE_FRAME]
        train_tokenizer(texts, recipe.tokenizer).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def make_model(shape: ModelShape, tokenizer: Any) -> Any:
    """A Qwen3 decoder with random weights and tied embeddings."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        tie_word_embeddings=True,
        max_position_embeddings=LONGEST_PROMPT,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.convert_tokens_to_ids(PAD),
        attn_implementation="eager",  # in training: sdpa's backward pass takes twice as long on a CPU
    )
    return Qwen3ForCausalLM(config)


if __name__ == "__main__":
    try:
        main()
    except (WiredeskError, OSError) as problem:
        sys.exit(f"train: {problem}")
