"""The key file: made, listed and revoked from the command line; a wrong line is named."""

import json
import stat
from pathlib import Path

import pytest

from shared.errors import SettingsError
from shared.keys import hash_of, main, new_key, read_keys


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.jsonl"


def test_a_new_key_is_shown_once_and_only_its_hash_is_kept(path: Path, capsys):
    main(["--file", str(path), "new", "--name", "desk-a", "--rate-per-minute", "60", "--admin"])
    secret = capsys.readouterr().out.strip()
    assert secret.startswith("wd_")
    assert len(secret) >= 3 + 32  # 192 bits
    assert secret not in path.read_text()
    (key,) = read_keys(path)
    assert (key.name, key.hash, key.rate_per_minute, key.admin) == ("desk-a", hash_of(secret), 60, True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_list_shows_no_hash(path: Path, capsys):
    new_key(path, "a")
    main(["--file", str(path), "list"])
    assert json.loads(capsys.readouterr().out)["name"] == "a"
    main(["--file", str(path), "list"])
    assert read_keys(path)[0].hash not in capsys.readouterr().out


def test_a_revoked_key_is_gone_and_the_others_stay(path: Path):
    for name in ("a", "b"):
        new_key(path, name)
    main(["--file", str(path), "revoke", "--name", "a"])
    assert [key.name for key in read_keys(path)] == ["b"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["new", "--name", "taken"], "already"),
        (["new", "--name", "bad name"], "name"),
        (["new", "--name", "x", "--rate-per-hour", "-1"], "rate_per_hour"),
        (["revoke", "--name", "nobody"], "nobody"),
    ],
)
def test_what_cannot_be_done_is_told(path: Path, arguments: list[str], told: str):
    new_key(path, "taken")
    with pytest.raises(SystemExit, match=told):
        main(["--file", str(path), *arguments])
    assert [key.name for key in read_keys(path)] == ["taken"]


def test_without_a_file_the_setting_is_named(capsys):
    with pytest.raises(SystemExit, match="WIREDESK_KEYS_FILE"):
        main(["list"])


@pytest.mark.parametrize("line", ["not json", "{}", '{"name": "b", "hash": "x", "created": ""}'])
def test_a_wrong_line_is_named(path: Path, line: str):
    new_key(path, "a")
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(SettingsError, match="line 2"):
        read_keys(path)


def test_a_missing_file_says_how_to_make_one(path: Path):
    with pytest.raises(SettingsError, match=r"python -m shared\.keys new"):
        read_keys(path)
