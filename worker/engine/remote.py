"""An engine that asks another server: any that speaks OpenAI's completions with token prompts and echo.

Labels are scored as exactly as here: the server is given every whole answer as a prompt and says, by
`echo` and `logprobs`, what it thinks of each of its tokens. Prompt, labels and tokenizer come from an
artifact folder, whose weights are not needed.
"""

import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from openai import APIError, OpenAI

from shared.description import Description
from shared.errors import ArtifactError, BadLabels, ItemError
from shared.questions import Question
from shared.settings import Settings
from worker.engine.artifact import Artifact, open_frame
from worker.engine.interview import Interview
from worker.engine.labels import AnyLabels, Reading, bias_of, labels_named, labels_of
from worker.engine.model import load_tokenizer
from worker.engine.own_labels import OwnLabels
from worker.engine.packing import Asked
from worker.engine.prompt import Item, Prompt
from worker.engine.protocol import Findings, Labels
from worker.engine.question import Answer, as_answer
from worker.engine.question_prompt import QuestionPrompt
from worker.engine.remote_texts import RemoteTexts
from worker.engine.trie import Trie

RETRIES = 5  # each waits longer, up to 8 s: a server that restarts fails no text


@dataclass(frozen=True)
class Address:
    """http://host/v1 and the name of the model there."""

    url: str
    model: str


def read_address(text: str) -> Address:
    """openai+http://host:port/v1#model

    Raises:
        ArtifactError: it is none.
    """
    match = re.fullmatch(r"openai\+(https?://[^#\s]+)#(\S+)", text)
    if not match:
        raise ArtifactError(f"WIREDESK_MODEL={text} is no remote model; write it openai+http://host/v1#model")
    return Address(match[1], match[2])


class RemoteEngine:
    """See protocol.Engine. `load` makes one whose server has answered."""

    def __init__(self, client: OpenAI, address: Address, artifact: Artifact, prompt: Prompt, steps: int):
        """
        Args:
            steps: most texts that are asked at the same time.
        """
        self._client = client
        self._address = address
        self._artifact = artifact
        self._prompt = prompt
        self._own = labels_of(artifact.taxonomy, prompt)
        self._scale = artifact.calibration.for_type("remote")
        bias_of(self._own, self._scale)
        self._own_labels = OwnLabels(self._own, artifact.taxonomy, self._scale)
        self._interview = self._interviews() if artifact.template.zero_shot else None
        self._pool = ThreadPoolExecutor(steps, "remote")
        self.texts = RemoteTexts(client, address.model, prompt.tokenizer)

    @classmethod
    def load(cls, config: Settings) -> "RemoteEngine":
        """
        Raises:
            ArtifactError: the address or the folder is wrong, or the server cannot do what is needed.
        """
        address = read_address(config.model)
        if config.remote_artifact is None:
            raise ArtifactError(
                "a remote model needs WIREDESK_REMOTE_ARTIFACT: a folder with its tokenizer, taxonomy.toml, "
                "prompt.toml and manifest.json"
            )
        artifact = open_frame(config.remote_artifact)
        prompt = Prompt(
            artifact.template,
            load_tokenizer(artifact.folder),
            config.max_item_tokens,
            artifact.taxonomy.names,
        )
        client = OpenAI(
            base_url=address.url,
            api_key=config.remote_key or "none",
            max_retries=RETRIES,
            timeout=config.job_limit,
        )
        engine = cls(client, address, artifact, prompt, config.batch_size)
        engine.check()
        return engine

    def check(self) -> None:
        """
        Raises:
            ArtifactError: the server does not answer, or cannot score a prompt.
        """
        try:
            self._score([[*self._prompt.head, *self._prompt.tail]], [1])
        except APIError as error:
            raise ArtifactError(
                f"{self._address.url} cannot score {self._address.model}: {type(error).__name__}: "
                f"{error.message}"
            ) from None

    def classify(self, texts: Sequence[str], labels: Sequence[Labels] = ()) -> list[Answer]:
        """One request for each text, all at the same time."""
        return list(self._pool.map(self._answer, texts, list(labels) or [None] * len(texts)))

    def decide(self, asked: Sequence[tuple[str, Sequence[Question]]]) -> list[Findings | ItemError]:
        """As `classify`; a server that keeps what it has read reads the text of many questions once."""
        if self._interview:
            return self._interview.decide(asked)
        return list(self._pool.map(self._find, asked))

    def describe(self) -> Description:
        return Description(
            name=self._address.model,
            revision=self._artifact.revision,
            labels=self._own.names,
            device="remote",
            quantization="remote",
            memory_bytes=0,
            item_tokens=self._prompt.item_tokens,
            prompt_version=self._artifact.prompt_version,
            writes=True,
            zero_shot=self._artifact.template.zero_shot,
        )

    def _answer(self, text: str, names: Labels) -> Answer:
        try:
            prompt, labels = self._asked(names)
            item = prompt.item(text)
        except ArtifactError as error:
            return BadLabels(f"these labels cannot be asked: {error}")
        except ItemError as error:
            return error
        return as_answer(item, self._read(prompt, labels, item), prompt)

    def _asked(self, names: Labels) -> tuple[Prompt, AnyLabels]:
        if not names:
            return self._prompt, self._own
        own = self._prompt
        prompt = Prompt(own.template, own.tokenizer, own.item_tokens, names)
        return prompt, labels_named(names, prompt)

    def _find(self, asked: tuple[str, Sequence[Question]]) -> Findings | ItemError:
        text, questions = asked
        try:
            item = self._prompt.item(text)
        except ItemError as error:
            return error
        before = [*self._prompt.head, *item.ids, *self._prompt.tail]
        return self._own_labels.read(item, self._scores(before, self._own.trie), questions, self._prompt)

    def _interviews(self) -> Interview:
        prompt = QuestionPrompt(self._artifact.template, self._prompt.tokenizer, self._prompt.item_tokens)

        def score(asked: Sequence[Asked]) -> list[list[torch.Tensor]]:
            put = [(one.item, branch) for one in asked for branch in one.branches]
            scores = self._pool.map(
                lambda pair: self._scores([*prompt.head, *pair[0], *pair[1].tail], pair[1].trie), put
            )
            return [[next(scores) for _ in one.branches] for one in asked]

        return Interview(prompt, score, context=sys.maxsize)  # the server says it, where it is too long

    def _read(self, prompt: Prompt, labels: AnyLabels, item: Item) -> Reading | None:
        scores = self._scores([*prompt.head, *item.ids, *prompt.tail], labels.trie)
        scale = self._scale if labels is self._own else self._scale.without_bias()
        return labels.read(scores[None], scale)[0]

    def _scores(self, before: Sequence[int], trie: Trie) -> torch.Tensor:
        """[rows of `paths`] log P of the trie's sequences after these tokens."""
        sequences = trie.sequences
        scores = self._score([[*before, *sequence] for sequence in sequences], list(map(len, sequences)))
        edges = torch.zeros(trie.paths.shape[1])
        for path, said in zip(trie.paths, scores, strict=False):
            # The edges of a path are in order: their numbers grow with their depth.
            edges[path.nonzero().flatten()] = torch.tensor(said)
        return trie.paths @ edges

    def _score(self, prompts: Sequence[Sequence[int]], lengths: Sequence[int]) -> list[list[float]]:
        """log P of the last `lengths` tokens of each prompt, as the server sees them.

        Raises:
            ArtifactError: the server does not say them.
        """
        answer = self._client.completions.create(
            model=self._address.model,
            prompt=[list(prompt) for prompt in prompts],
            max_tokens=1,
            echo=True,
            logprobs=1,
            temperature=0,
        )
        choices = sorted(answer.choices, key=lambda choice: choice.index)
        scores = []
        for choice, prompt, length in zip(choices, prompts, lengths, strict=True):
            said = choice.logprobs.token_logprobs if choice.logprobs else None
            if not said or len(said) < len(prompt):
                raise ArtifactError(
                    f"{self._address.url} does not echo the log-probabilities of a prompt's tokens"
                )
            scores.append([float(value or 0) for value in said[len(prompt) - length : len(prompt)]])
        return scores
