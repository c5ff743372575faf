"""Starts Flower behind basic auth, on loopback, with its state in WIREDESK_DATA (python -m deploy.flower)."""

import os
import secrets
import sys
from pathlib import Path

from shared.errors import SettingsError
from shared.settings import Settings, settings

AUTH_FILE = "flower-auth"
MOST_TASKS = 5000  # kept in memory


def main() -> None:
    try:
        config = settings()
        auth, _ = auth_of(config)
    except SettingsError as error:
        sys.exit(f"flower: {error}")
    # By environment, not on the command line: everybody on the machine can read command lines.
    os.environ["FLOWER_BASIC_AUTH"] = auth
    os.execvp(
        sys.executable,
        [sys.executable, "-m", "celery", "-A", "shared.celery_app", "flower", *options(config)],
    )


def options(config: Settings) -> list[str]:
    return [
        f"--address={config.flower_host}",
        f"--port={config.flower_port}",
        "--persistent=True",
        f"--db={config.data.resolve() / 'flower.db'}",
        f"--max_tasks={MOST_TASKS}",
        "--state_save_interval=60000",
    ]


def auth_of(config: Settings) -> tuple[str, bool]:
    """user:password, and whether it has just been generated. A generated one is kept in WIREDESK_DATA."""
    if config.flower_auth:
        return _readable_by_flower(config.flower_auth), False
    path = config.data / AUTH_FILE
    if path.is_file():
        return path.read_text(encoding="utf-8").strip(), False
    auth = f"wiredesk:{secrets.token_urlsafe(12)}"
    _write_private(path, auth)
    return auth, True


def _readable_by_flower(auth: str) -> str:
    """Flower takes a comma as the end of a password, and cannot compare other than ASCII."""
    if "," in auth or not auth.isascii():
        raise SettingsError("WIREDESK_FLOWER_AUTH must be ASCII and have no comma")
    return auth


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text + "\n")


if __name__ == "__main__":
    main()
