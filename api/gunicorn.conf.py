"""gunicorn's settings: gevent, so that hundreds of waiting or silent clients never starve /health."""

import resource
import sys

from api.connections import expect_body, expect_next
from api.logs import ACCESS, logging_config
from shared.errors import SettingsError
from shared.keys import read_keys
from shared.settings import settings

CONNECTIONS = 4096  # a process; most of them silent or waiting
HANDLES_BESIDES = 256

try:
    _config = settings()
    if _config.keys_file:
        read_keys(_config.keys_file)
except SettingsError as error:
    sys.exit(f"api: {error}")


def _connections(wanted: int) -> int:
    """As many as there may be file handles for; each may need one more, to Redis."""
    handles = 2 * wanted + HANDLES_BESIDES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = handles if hard == resource.RLIM_INFINITY else min(handles, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < handles:
        sys.stderr.write(f"api: only {hard} open files are allowed; raise `ulimit -Hn` to {handles}\n")
    return max(64, (most - HANDLES_BESIDES) // 2)


_host = f"[{_config.host}]" if ":" in _config.host else _config.host
bind = f"{_host}:{_config.port}"
worker_class = "api.connections.Worker"
pre_request = expect_body
post_request = expect_next
workers = _config.api_processes
worker_connections = _connections(CONNECTIONS)
timeout = 60  # a blocked event loop is killed; it does not limit a request
graceful_timeout = int(_config.sync_timeout) + 10  # waiters finish first
keepalive = 75  # longer than a proxy keeps its connections
backlog = 2048
limit_request_line = 4094
limit_request_fields = 50
limit_request_field_size = 8190
control_socket_disable = True  # its default path in $HOME clashes between instances
logconfig_dict = logging_config()
accesslog = "-"
access_log_format = ACCESS
preload_app = False
