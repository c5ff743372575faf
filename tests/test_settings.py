"""A bad setting stops the start with the variable's name, its value and the fix."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import SettingsError
from shared.settings import Settings, settings


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # no .env of the developer's
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WIREDESK_PORT", "http"),
        ("WIREDESK_PORT", "70000"),
        ("WIREDESK_BATCH_SIZE", "0"),
        ("WIREDESK_MAX_WAITING", "-1"),
        ("WIREDESK_RATE_PER_MINUTE", "1.5"),
        ("WIREDESK_SYNC_TIMEOUT", "soon"),
        ("WIREDESK_QUANTIZATION", "int3"),
        ("WIREDESK_REDIS_URL", "http://localhost"),
        ("WIREDESK_TRUSTED_PROXIES", "10.0.0.0/99"),
        ("WIREDESK_FLOWER_AUTH", "nopassword"),
    ],
)
def test_a_bad_value_is_named_with_its_fix(monkeypatch: pytest.MonkeyPatch, variable: str, value: str):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as error:
        settings()
    message = str(error.value)
    assert message.startswith(f"{variable}=")
    assert f"{variable} is the " in message
    secret = variable in ("WIREDESK_FLOWER_AUTH", "WIREDESK_REDIS_URL")
    assert (value in message) != secret


def test_all_bad_values_are_told_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WIREDESK_PORT", "x")
    monkeypatch.setenv("WIREDESK_BATCH_SIZE", "y")
    with pytest.raises(SettingsError, match=r"(?s)WIREDESK_PORT=.*WIREDESK_BATCH_SIZE="):
        settings()


def test_an_empty_variable_means_the_default(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WIREDESK_PORT", "")
    assert settings().port == 8000


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1


def test_a_redis_url_is_shown_without_its_password():
    assert Settings(redis_url="redis://:secret@db:6379/0").redis_host == "db:6379/0"


@given(st.lists(st.ip_addresses(v=4).map(str), max_size=4))
def test_trusted_proxies_are_read_from_a_list(addresses: list[str]):
    networks = Settings(trusted_proxies=", ".join(addresses)).trusted_proxies
    assert [str(network.network_address) for network in networks] == addresses
