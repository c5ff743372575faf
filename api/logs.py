"""How the api logs: one line for each event, each with its request's id, never what a client has sent."""

import logging
import traceback
from contextvars import ContextVar
from types import TracebackType
from typing import Any

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="-")
LINE = "%(asctime)s %(levelname)s %(name)s request_id=%(request_id)s: %(message)s"
ACCESS = "method=%(m)s path=%({wiredesk.path}e)s status=%(s)s bytes=%(B)s ms=%(M)s client=%(h)s"


class WithRequestId(logging.Filter):
    """Gives each record the id of the request that its greenlet answers, or has just answered."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = REQUEST_ID.get()
        return True


class Discreet(logging.Formatter):
    """Where an error happened and its type, without its message: that may quote the news."""

    def formatException(  # noqa: N802, logging's name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        kind, _, place = ei
        return "".join(traceback.format_tb(place)) + (kind.__name__ if kind else "")


def logging_config() -> dict[str, Any]:
    """For logging.config.dictConfig: everything to standard error; gunicorn's loggers too."""
    here = {"level": "INFO", "handlers": ["line"], "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": WithRequestId}},
        "formatters": {"line": {"()": Discreet, "fmt": LINE}},
        "handlers": {
            "line": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["request_id"]}
        },
        "root": {"level": "INFO", "handlers": ["line"]},
        "loggers": {"gunicorn.error": here, "gunicorn.access": here},
    }
