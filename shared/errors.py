"""The one exception tree; which HTTP status each becomes is decided in api/errors.py.

WiredeskError
├── SettingsError       a bad setting: the process must not start
├── ArtifactError       the model folder cannot be served: says which file and why
├── RecipeError         a training recipe or its data cannot be used
├── UnknownVersion      a job record was written by another version of Wiredesk
└── ItemError           one text failed; its neighbours are not affected
    ├── EmptyItem       nothing is left of the text once instructions are stripped
    ├── BadLabels       labels of a request cannot be told apart, or do not fit the model
    ├── BadPrompt       the model's chat template cannot hold the messages
    ├── PromptTooLong   the prompt takes more tokens than the model may read
    └── EngineFailure   the engine raised, or answered with something that is no number
"""


class WiredeskError(Exception):
    """Base of every error that Wiredesk raises on purpose."""


class SettingsError(WiredeskError):
    """A setting has a value that cannot be used."""


class ArtifactError(WiredeskError):
    """A model folder is incomplete, damaged or of a kind that cannot be served."""


class RecipeError(WiredeskError):
    """A recipe is wrong, or the data does not fit it."""


class UnknownVersion(WiredeskError):
    """A job record has a layout that this version does not read."""


class ItemError(WiredeskError):
    """One text failed. `code` is what the client sees; the message holds no text of the news."""

    code = "item_failed"


class EmptyItem(ItemError):
    """Nothing is left to classify."""

    code = "empty_input"


class BadLabels(ItemError):
    """Labels that came with a request cannot be asked."""

    code = "invalid_labels"


class BadPrompt(ItemError):
    """The chat template refuses the messages."""

    code = "invalid_messages"


class PromptTooLong(ItemError):
    """The prompt does not fit the model's context."""

    code = "context_length_exceeded"


class EngineFailure(ItemError):
    """The engine could not score this text."""

    code = "engine_failure"
