"""The prompt of questions about a text: head | item, shared by all of them, then a tail for each."""

from functools import lru_cache
from typing import Any

from shared.errors import ArtifactError
from shared.questions import Question
from worker.engine.labels import LabelSet
from worker.engine.prompt import Item, Prompt, tidy
from worker.engine.prompt_template import LABEL, PromptTemplate
from worker.engine.question_template import ANSWER, QUESTION, QuestionTemplate

KEPT = 32  # sets of answers that are asked again and again, such as yes and no
SLOT = "\ue000QUESTION\ue001"  # private-use characters: in no chat template, and removed from questions


class QuestionPrompt:
    """A template's way to ask, bound to a tokenizer.

    Attributes:
        head: token ids before the item.

    Raises:
        ArtifactError: the chat template cannot hold the prompt.
    """

    def __init__(self, template: PromptTemplate, tokenizer: Any, item_tokens: int | None = None):
        self._asking = template.questions or QuestionTemplate()
        own = PromptTemplate(
            system=self._asking.system,
            user=self._asking.user.replace(QUESTION, SLOT),
            answer=self._asking.answer.replace(ANSWER, LABEL),
            strip_prefixes=template.strip_prefixes,
            item_tokens=template.item_tokens,
        )
        self._prompt = Prompt(own, tokenizer, item_tokens)
        before, slot, after = self._prompt.after.partition(SLOT)
        if not slot or SLOT in after:
            raise ArtifactError("the chat template must repeat a question exactly once, unchanged")
        self.head = self._prompt.head
        self._label_set = lru_cache(KEPT)(self._make_label_set)
        self._before = self._prompt.encode(before)
        self._after = self._prompt.encode(after) + self._prompt.encode(self._prompt.answer_prefix)

    def item(self, text: str) -> Item:
        """See Prompt.item."""
        return self._prompt.item(text)

    def tail(self, question: Question) -> list[int]:
        """The tokens between the item and the answer."""
        return self._before + self._prompt.encode_data(tidy(self._asking.put(question))) + self._after

    def labels(self, question: Question) -> LabelSet:
        """What can be answered, in the order of the options.

        Raises:
            ArtifactError: answers cannot be told apart, or merge with the answer prefix.
        """
        return self._label_set(
            tuple(tuple(tidy(form) for form in said) for said in self._asking.forms(question))
        )

    def _make_label_set(self, forms: tuple[tuple[str, ...], ...]) -> LabelSet:
        if len({form for said in forms for form in said}) < sum(map(len, forms)):
            raise ArtifactError("two of the answers read alike")
        return LabelSet({said[0]: said[1:] for said in forms}, self._prompt)
