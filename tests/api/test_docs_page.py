"""/docs in a real browser: it shows the routes, and asks no other host."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.services import Api, RedisServer, running

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--virtual-time-budget=20000"),
)


@pytest.fixture(scope="module")
def api(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running(Api(redis_server, tmp_path_factory.mktemp("docs"))) as process:
        yield process


def test_the_page_shows_every_route_and_asks_no_other_host(api: Api, tmp_path: Path):
    if not BROWSER:
        if os.environ.get("CI"):
            pytest.fail("CI needs a browser (.ci/run installs chromium)")
        pytest.skip("no chromium here")
    log = tmp_path / "net.json"
    profile = [f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}", "--enable-logging=stderr"]
    shown = subprocess.run(
        [BROWSER, *QUIET, *profile, "--dump-dom", f"{api.url}/docs"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    for route in ("/v1/classify", "/v1/chat/completions", "/v1/jobs/", "/v1/models", "/stats"):
        assert route in shown.stdout.replace("\u200b", "").replace("<wbr>", ""), route
    assert "Content Security Policy" not in shown.stderr
    asked = asked_by_page(log, api.url)
    assert f"{api.url}/openapi.json" in asked
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(api.url).netloc}


def asked_by_page(log: Path, origin: str) -> set[str]:
    """What the browser's network log says that the page has asked for (the browser also asks for itself)."""
    events = json.loads(log.read_text(encoding="utf-8"))["events"]
    told = [event["params"] for event in events if "url" in event.get("params", {})]
    return {params["url"] for params in told if params.get("initiator") == origin}
