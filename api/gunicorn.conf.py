"""gunicorn's settings: gevent, so that hundreds of waiting or silent clients never starve /health."""

import sys

from shared.errors import SettingsError
from shared.keys import read_keys
from shared.settings import settings

try:
    _config = settings()
    if _config.keys_file:
        read_keys(_config.keys_file)
except SettingsError as error:
    sys.exit(f"api: {error}")

_host = f"[{_config.host}]" if ":" in _config.host else _config.host
bind = f"{_host}:{_config.port}"
worker_class = "gevent"
workers = _config.api_processes
worker_connections = 1024
timeout = 60  # a blocked event loop is killed; it does not limit a request
graceful_timeout = int(_config.sync_timeout) + 10  # waiters finish first
keepalive = 75  # longer than a proxy keeps its connections
backlog = 512
limit_request_line = 4094
limit_request_fields = 50
limit_request_field_size = 8190
control_socket_disable = True  # its default path in $HOME clashes between instances
accesslog = "-"
access_log_format = "%(t)s %(h)s %(m)s %(U)s %(s)s %(B)sB %(M)sms"
preload_app = False
