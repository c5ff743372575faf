"""The supervisord configuration: which processes, in which order, restarted how.

supervisord starts groups by rising priority and stops them one after the other by falling priority,
so the api (whose waiters need the worker) leaves first and Redis (which holds the results) last.
"""

import os
import sys
from pathlib import Path

from shared.settings import Settings

RESTARTS = 1_000_000  # keep trying: whatever is missing may come back

PROGRAM = """
[program:{name}]
command={python} -m deploy.tied {parting} {command}
directory={root}
priority={priority}
autorestart=true
startsecs=1
startretries={restarts}
stopsignal=TERM
stopwaitsecs={stop_seconds}
killasgroup=true
redirect_stderr=true
stdout_logfile={logs}/{name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=3
"""

DAEMON = """\
[supervisord]
nodaemon=true
silent=true
logfile={logs}/supervisord.log
logfile_maxbytes=10MB
logfile_backups=1
pidfile={data}/supervisord.pid
childlogdir={logs}
{user}
"""


def processes(config: Settings, own_redis: bool) -> dict[str, tuple[str, int]]:
    """Name -> (command, seconds that it may take to stop), in the order of starting."""
    python = sys.executable
    waiting = int(config.sync_timeout) + 15
    redis = {"redis": (f"{python} -m deploy.redis_server", 20)} if own_redis else {}
    return redis | {
        "worker": (f"{python} -m worker", 130),
        "flower": (f"{python} -m deploy.flower", 10),
        "feeder": (f"{python} -m api.feeder", 15),
        "api": (f"{python} -m gunicorn -c api/gunicorn.conf.py api.app:app", waiting),
    }


def configuration(config: Settings, root: Path, own_redis: bool) -> str:
    """The text of supervisord.conf. supervisord expands %, so ours are doubled."""
    data = config.data.resolve()
    places = {"data": _quoted(data), "logs": _quoted(data / "logs")}
    user = "user=root" if os.getuid() == 0 else ""
    programs = [
        PROGRAM.format(
            name=name,
            python=_quoted(sys.executable),
            # Without a supervisor nobody keeps the order of stopping, and a worker without Redis takes
            # long to leave. Killed at once it loses nothing: its texts go back to the queue.
            parting="TERM" if name == "redis" else "KILL",
            command=_quoted(command),
            root=_quoted(root),
            priority=100 + place,
            restarts=RESTARTS,
            stop_seconds=stop_seconds,
            logs=places["logs"],
        )
        for place, (name, (command, stop_seconds)) in enumerate(processes(config, own_redis).items())
    ]
    return DAEMON.format(user=user, **places) + "".join(programs)


def _quoted(value: object) -> str:
    return str(value).replace("%", "%%")
