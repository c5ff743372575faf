"""A recipe and prepared rows -> a trained artifact.

python -m pipeline.train --recipe pipeline/recipes/newsroom-mini.toml --data DIR

Data that has not been prepared yet is prepared first. A run that was killed goes on where it was.
"""

import os
from pathlib import Path
from typing import Any

import torch

from pipeline.batches import balanced, encode
from pipeline.calibration import fit_temperature
from pipeline.prepare import Row, arguments, prepare, read_rows, write_rows
from pipeline.publish import publish
from pipeline.recipe import ModelShape, Recipe, load_recipe, progress
from pipeline.tokenizer import PAD, train_tokenizer
from pipeline.training import phases, train
from worker.engine.prompt import Prompt

COPIES_OF_THE_FRAME = 3000  # the prompt's own words must become whole tokens
LONGEST_PROMPT = 4096  # tokens


def main() -> None:
    parser = arguments("Train a model from scratch and write its artifact.")
    parser.add_argument("--output", type=Path, help="artifact folder (default models/<name>)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = load_recipe(options.recipe)
    work = options.work or Path("runs") / recipe.name
    if not (work / "train.jsonl").is_file():
        write_rows(prepare(recipe, options.data), work)
    artifact = run(recipe, work, options.output or Path("models") / recipe.name)
    progress(f"wrote {artifact}; next: python -m pipeline.evaluate --recipe {options.recipe} --data DIR")


def run(recipe: Recipe, work: Path, output: Path) -> Path:
    """Train on the rows in `work` and write the artifact to `output`, all at once, at the end."""
    rows = read_rows(work, "train")
    tokenizer = make_tokenizer(recipe, rows, work / "tokenizer")
    prompt = Prompt(recipe.prompt, tokenizer)
    torch.manual_seed(recipe.training.seed)
    model = make_model(recipe.model, tokenizer)
    examples = encode(rows, prompt)
    plan = phases(examples, balanced(rows, recipe.training.balance, recipe.training.seed), recipe.training)
    train(model, examples, plan, recipe.training, work)
    temperature = fit_temperature(model, prompt, read_rows(work, "calibration"), recipe)
    return publish(model, tokenizer, recipe, work, output, temperature)


def make_tokenizer(recipe: Recipe, rows: list[Row], folder: Path) -> Any:
    """Trained once and kept, so that a resumed run reads the same tokens."""
    from transformers import AutoTokenizer

    if not (folder / "tokenizer.json").is_file():
        frame = f"user\nassistant\n\n\n{recipe.prompt.answer.partition('{')[0]}"
        train_tokenizer(
            [*(row.text for row in rows), *[frame] * COPIES_OF_THE_FRAME], recipe.tokenizer
        ).save_pretrained(folder)
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
