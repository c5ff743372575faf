"""Where a recipe disagrees with its taxonomy: labels that it lacks, an answer that does not ask for them."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from pipeline.source import Source
from shared.taxonomy import Taxonomy
from worker.engine.prompt_template import LABEL, PromptTemplate


def disagreements(prompt: PromptTemplate, sources: Sequence[Source], taxonomy: Taxonomy) -> Iterator[str]:
    """Each wrong field, and what is wrong with it; the data is not needed to see it."""
    yield from _of_answer(prompt.slots, tuple(taxonomy.slots))
    for source in sources:
        targets = [(f"map.{given}", label) for given, label in (source.map or {}).items()]
        targets += [(f"rulings[{n}].label", ruling.label) for n, ruling in enumerate(source.rulings, start=1)]
        for field, label in targets:
            if label not in taxonomy.names:
                near = nearest_label(label, taxonomy)
                hint = f"; is {near!r} meant?" if near else ""
                yield f"sources[{source.name}].{field}: {label!r} is not a label{hint}"


def nearest_label(given: str, taxonomy: Taxonomy) -> str | None:
    """The label that `given` may stand for: written a little otherwise, in the other language, or its id."""
    forms = {
        form.casefold(): name
        for name, label in zip(taxonomy.names, taxonomy.labels, strict=False)  # none where there are slots
        for form in (label.id, label.zh, label.en, *label.aliases)
    } | {name.casefold(): name for name in taxonomy.names}
    near = get_close_matches(given.casefold(), forms, n=1)
    return forms[near[0]] if near else None


def _of_answer(asked: tuple[str, ...], known: tuple[str, ...]) -> Iterator[str]:
    if asked == known:
        return
    has = f"has the slot{'s' * (len(asked) > 1)} {', '.join(asked)}" if asked else "has no slots"
    needs = f"the taxonomy has {', '.join(known)}, in this order"
    yield f"prompt.answer {has}; {needs if known else f'a taxonomy without slots needs {LABEL}'}"
