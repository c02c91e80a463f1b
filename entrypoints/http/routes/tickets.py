"""The route that issues stream tickets (platform.md 3.7)."""

from collections.abc import Sequence

from application.tickets import Ticket, Tickets
from entrypoints.http.routing import Call, Route


def ticket_routes(tickets: Tickets) -> Sequence[Route]:
    """Return the route."""

    async def issue(call: Call) -> Ticket:
        return tickets.issue(call.principal)

    return (
        Route(
            method="POST",
            path="/api/notifications/tickets",
            handler=issue,
            operation_id="ticket_issue",
            tag="notifications",
            summary="Get a ticket that opens a stream within 30 seconds",
            scope="notifications:read",
            success=(201,),
            keyed=False,
            secret=True,
            answer=Ticket,
        ),
    )
