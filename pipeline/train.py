"""A recipe and prepared rows -> a trained artifact.

python -m pipeline.train --recipe pipeline/recipes/newsroom-mini.toml --data DIR

Data that has not been prepared with this recipe's sources is prepared first. A run that was killed goes
on where it was.
"""

import os
from pathlib import Path
from typing import Any

import torch

from pipeline.batches import Example, Noise, balanced, encode
from pipeline.calibration import Judge
from pipeline.prepare import arguments, ensure_prepared
from pipeline.publish import publish
from pipeline.recipe import ModelShape, Recipe, load_recipe, progress
from pipeline.rows import Row, read_rows
from pipeline.tokenizer import PAD, train_tokenizer
from pipeline.training import Phase, epochs, fingerprint, train
from shared.errors import RecipeError
from shared.taxonomy import load_taxonomy
from worker.engine.labels import LabelSet, labels_of
from worker.engine.prompt import Prompt

COPIES_OF_THE_FRAME = 3000  # the prompt's own words and the labels must become whole tokens
LONGEST_PROMPT = 4096  # tokens


def main() -> None:
    parser = arguments("Train a model from scratch and write its artifact.")
    parser.add_argument("--output", type=Path, help="artifact folder (default models/<name>)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = load_recipe(options.recipe)
    work = options.work or Path("runs") / recipe.name
    ensure_prepared(recipe, options.data, work)
    artifact = run(recipe, work, options.output or Path("models") / recipe.name)
    progress(f"wrote {artifact}; next: python -m pipeline.evaluate --recipe {options.recipe} --data DIR")


def run(recipe: Recipe, work: Path, output: Path) -> Path:
    """Train on the rows in `work` and write the artifact to `output`, all at once, at the end."""
    rows, unlabelled = read_rows(work, "train"), read_rows(work, "unlabelled")
    tokenizer = make_tokenizer(recipe, [*rows, *unlabelled], work / "tokenizer")
    taxonomy = load_taxonomy(recipe.taxonomy)
    prompt = Prompt(recipe.prompt, tokenizer, names=taxonomy.names)
    labels = labels_of(taxonomy, prompt)
    if not isinstance(labels, LabelSet):
        raise RecipeError("training knows answers of one {label} or of slots, and no {verdict}")
    judge = Judge(prompt, labels, read_rows(work, "calibration"))
    torch.manual_seed(recipe.training.seed)
    model = make_model(recipe.model, tokenizer)
    learn_language(model, encode([*rows, *unlabelled], prompt), recipe, work)
    learn_labels(model, rows, prompt, judge, recipe, work)
    return publish(model, tokenizer, recipe, work, output, judge.temperature(model))


def learn_language(model: Any, examples: list[Example], recipe: Recipe, work: Path) -> None:
    """Next-token training on the items alone. Kept when only labels change: it has seen none."""
    training = recipe.training
    if training.lm_epochs:
        batches = epochs(training.lm_epochs, examples, lambda _: range(len(examples)), training)
        phase = Phase("language", batches, training.lm_rate, 1.0, 0.0)
        key = fingerprint(recipe.model.model_dump(), recipe.tokenizer.model_dump(), training.lm_epochs)
        train(model, examples, phase, training, work / "language.pt", key)


def learn_labels(
    model: Any, rows: list[Row], prompt: Prompt, judge: Judge, recipe: Recipe, work: Path
) -> None:
    """Loss on the answer alone, rare labels more often, items with noise."""
    training = recipe.training
    rows = [one for row in rows for one in row.answered]
    examples = encode(rows, prompt)
    batches = epochs(
        training.label_epochs, examples, lambda seed: balanced(rows, training.balance, seed), training
    )
    noise = Noise(prompt.tokenizer, training.split_pieces, training.leave_out)
    phase = Phase("labels", batches, training.label_rate, training.lm_weight, 1.0, noise, judge)
    key = fingerprint(recipe.model.model_dump(), training.model_dump(), [example.ids for example in examples])
    train(model, examples, phase, training, work / "labels.pt", key)


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
        attn_implementation="sdpa",
    )
    return Qwen3ForCausalLM(config)


if __name__ == "__main__":
    main()
