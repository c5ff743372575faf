"""What many questions about one text cost beside as many classifications of it.

python -m bench.questions [--model models/newsroom-mini] [--rounds 7] [--threads 1] [--tokens 300]
The weights are the model's, asked by the default words of zero-shot models: what it answers means nothing,
what it costs does. The last line is one JSON document.
"""

import argparse
import json
import statistics
from functools import partial
from typing import Any

from bench.engine import TEXTS, Times, load, measure, print_table, summarise
from shared.questions import Option, Question
from worker.engine.branches import BranchScorer
from worker.engine.interview import Interview
from worker.engine.question_prompt import QuestionPrompt
from worker.engine.transformers_engine import TransformersEngine

COUNTS = (1, 4, 16, 64)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.questions", description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="models/newsroom-mini", help="artifact folder")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch")
    parser.add_argument("--tokens", type=int, default=300, help="of the text")
    options = parser.parse_args()
    engine = load(options.model, "fp32", options.threads)
    text, interview = text_of(engine, options.tokens), interview_of(engine)
    results: dict[str, Times] = {}
    for count in COUNTS:
        questions = [question(number) for number in range(count)]
        results[str(count)] = measure(
            {
                "questions together": partial(interview.decide, [(text, questions)]),
                "a request for each": partial(ask_apart, interview, text, questions),
                "classify calls": partial(classify, engine, text, count),
                "one choice among labels": partial(engine.decide, [(text, [among_labels(engine)] * count)]),
            },
            options.rounds,
        )
        print_table(f"{count} questions, {options.tokens} tokens", results[str(count)])
    ratios = {count: ratio(times) for count, times in results.items()}
    said = {"bench": "questions", "threads": options.threads, "tokens": options.tokens}
    print(json.dumps(said | {"ratio_to_classify_calls": ratios, "times": summarise(results)}))


def interview_of(engine: TransformersEngine) -> Interview:
    """The engine's model, asked as a zero-shot model is."""
    template = engine.prompt.template.model_copy(update={"zero_shot": True})
    prompt = QuestionPrompt(template, engine.prompt.tokenizer, engine.prompt.item_tokens)
    scorer = BranchScorer(engine.question.scorer.model, prompt.head, engine.row_tokens)
    return Interview(prompt, scorer.score, engine.question.scorer.model.config.max_position_embeddings)


def question(number: int) -> Question:
    """A predicate, a choice or a score in turn, each with words of its own."""
    asked = f"Item {number} is about rates"
    options = tuple(Option(f"{word} {number}") for word in ("rise", "fall", "stay"))
    return (
        Question("predicate", asked),
        Question("choice", asked, options),
        Question("score", asked, options),
    )[number % 3]


def among_labels(engine: TransformersEngine) -> Question:
    return Question("choice", "", tuple(map(Option, engine.question.labels.names)))


def ask_apart(interview: Interview, text: str, questions: list[Question]) -> None:
    for one in questions:
        interview.decide([(text, [one])])


def classify(engine: TransformersEngine, text: str, count: int) -> None:
    for _ in range(count):
        engine.classify([text])


def text_of(engine: TransformersEngine, tokens: int) -> str:
    """A text of about so many tokens."""
    text = "".join(TEXTS)
    while len(engine.prompt.item(text).ids) < tokens:
        text += "".join(TEXTS)
    return text[: len(text) * tokens // len(engine.prompt.item(text).ids)]


def ratio(times: Times) -> dict[str, Any]:
    together, calls = times["questions together"], times["classify calls"]
    return {
        "median": round(statistics.median(together) / statistics.median(calls), 3),
        "min": round(min(together) / min(calls), 3),
    }


if __name__ == "__main__":
    main()
