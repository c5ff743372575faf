"""Code, .env.example and docs/configuration.md list the same settings with the same defaults."""

import re

from shared.settings import PREFIX, Settings
from tests.services import ROOT


def test_the_sample_file_lists_every_setting_in_order_with_its_default():
    lines = re.findall(r"^#(WIREDESK_\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert lines == defaults()


def test_the_documentation_lists_every_setting_in_order_with_its_default():
    page = (ROOT / "docs/configuration.md").read_text()
    rows = re.findall(r"^\| `(WIREDESK_\w+)` \| (?:`(.*?)`)? ?\|", page, re.MULTILINE)
    assert rows == defaults()


def test_the_sample_file_is_valid_and_equal_to_the_defaults(tmp_path):
    sample = re.sub(r"^#(WIREDESK_)", r"\1", (ROOT / ".env.example").read_text(), flags=re.MULTILINE)
    (tmp_path / ".env").write_text(sample)
    assert Settings(_env_file=tmp_path / ".env") == Settings(_env_file=None)


def defaults() -> list[tuple[str, str]]:
    return [(PREFIX + name.upper(), as_text(field.default)) for name, field in Settings.model_fields.items()]


def as_text(value: object) -> str:
    if value is None:
        return ""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
