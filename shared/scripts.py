"""The Lua scripts that change jobs: one file for each decision, all beginning with shared/job.lua."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redis import Redis

from shared.redis_keys import DEAD_LETTERS, RECENT
from shared.settings import Settings

PRELUDE = Path(__file__).with_name("job.lua")


def job_script(redis: Redis, config: Settings, beside: str, name: str) -> Callable[..., Any]:
    """The script `name` beside the Python file `beside`; call it with its ARGV from the second on."""
    source = PRELUDE.read_text(encoding="utf-8") + Path(beside).with_name(name).read_text(encoding="utf-8")
    script = redis.register_script(source)
    terms = json.dumps(
        {
            "prefix": config.key_prefix,
            "result_ttl": config.result_ttl,
            "dead_letter_ttl": config.dead_letter_ttl,
            "dead_letters": DEAD_LETTERS,
            "recent": RECENT,
            "cache_ttl": config.cache_ttl,
            "cache_bytes": config.cache_bytes,
        }
    )
    return lambda *arguments: script(args=[terms, *arguments])
