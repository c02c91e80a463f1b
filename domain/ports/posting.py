"""Sending one message to a receiver outside."""

from collections.abc import Mapping
from typing import Protocol

from domain.webhooks.rules import Result


class Poster(Protocol):
    """Posts to addresses that may be called, and to no other."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Result:
        """Send one request and say how it ended; never raises for what a receiver or a network does.

        Ends within the configured time. Redirects are not followed, the response is not kept.
        """
        ...

    async def aclose(self) -> None:
        """Let go of everything."""
        ...
