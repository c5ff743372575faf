"""One page of a client's files or batches: ids in a sorted set, each with a record that may be gone."""

from collections.abc import Callable, Iterator

from redis import Redis

from api.errors import ApiError

LOOK = 200  # records read in one round trip
Record = dict[str, str]


def page(
    redis: Redis,
    names: str,
    key_of: Callable[[str], str],
    *,
    limit: int,
    after: str | None,
    oldest_first: bool = False,
    wanted: Callable[[Record], bool] = bool,
) -> tuple[list[tuple[str, Record]], bool]:
    """Up to `limit` ids with their records, newest first, and whether there are more.

    Raises:
        ApiError: 400, `after` is in no such list.
    """
    found: list[tuple[str, Record]] = []
    for name, record in _records(redis, names, key_of, after, oldest_first):
        if not wanted(record):
            continue
        if len(found) == limit:
            return found, True
        found.append((name, record))
    return found, False


def _records(
    redis: Redis, names: str, key_of: Callable[[str], str], after: str | None, oldest_first: bool
) -> Iterator[tuple[str, Record]]:
    """Members whose record has expired are struck off where they are met."""
    members = redis.zrange if oldest_first else redis.zrevrange
    rank = redis.zrank if oldest_first else redis.zrevrank
    start, gone = 0, []
    if after is not None:
        place = rank(names, after)
        if place is None:
            raise ApiError(400, "invalid_value", "'after' is the id of none of yours.", "after")
        start = place + 1
    try:
        while ids := members(names, start, start + LOOK - 1):
            pipe = redis.pipeline(transaction=False)
            for name in ids:
                pipe.hgetall(key_of(name))
            for name, record in zip(ids, pipe.execute(), strict=True):
                if record:
                    yield name, record
                else:
                    gone.append(name)
            start += LOOK
    finally:
        if gone:
            redis.zrem(names, *gone)
