"""Who is asking: one function from a request to a client, which scopes limits and jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from shared.job import Priority
from shared.settings import Network

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, kw_only=True)
class Client:
    """Who sends a request, and what it may do. A rate of 0 is no limit."""

    id: str
    rate_per_minute: int = 0
    rate_per_hour: int = 0  # of its own; the limit over all clients holds besides
    priority: Priority = "interactive"  # the highest that it may ask for
    admin: bool = False


def client_id(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """The nearest address that is no trusted proxy.

    Args:
        peer: address of the connection; empty for a Unix socket.
        forwarded_for: X-Forwarded-For, which anybody can write: only entries that a trusted proxy
            appended are believed, read from the right.
    """
    address = _address(peer)
    if address is None:
        return "local"
    for hop in reversed([hop.strip() for hop in forwarded_for.split(",") if hop.strip()]):
        if not _is_in(address, trusted):
            break
        before = _address(hop)
        if before is None:
            break
        address = before
    return str(address)


def _address(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
