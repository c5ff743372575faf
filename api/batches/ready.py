"""From a row to what can be asked of the queue: the body is understood as the route would."""

from dataclasses import dataclass

from api.asking import Asked, reusable, understand
from api.batches.outcomes import bug
from api.batches.rows import NumberedRow
from api.errors import ApiError
from api.service import Service
from shared.job import Endpoint


@dataclass(frozen=True)
class Ready:
    """A row that can be asked, and what it asks."""

    row: NumberedRow
    job_id: str
    asked: Asked
    digests: tuple[str, ...]

    @property
    def writes(self) -> bool:
        return self.asked.work.generation is not None


def make_ready(desk: Service, endpoint: Endpoint, row: NumberedRow, job_id: str) -> Ready:
    """What the row asks.

    Raises:
        ApiError: what is wrong with it; 503, it cannot be said now (no worker has come yet).
    """
    try:
        asked = understand(desk, endpoint, dict(row.body))
        if asked.stream:
            message = "A row's answer stands in the output file; leave 'stream' out."
            raise ApiError(400, "invalid_value", message, "stream")
        return Ready(row, job_id, asked, reusable(desk, asked.work))
    except (TypeError, ValueError, LookupError, RecursionError) as error:
        raise bug(error) from None
