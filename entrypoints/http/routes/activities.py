"""Routes of the activity feed (platform.md 7, circuits.md 4.20)."""

from collections.abc import Sequence

import attrs

from application.activity import (
    Activities,
    ActivityEntry,
    ActivityFilter,
    ActivityPeriod,
    ActivityStats,
)
from domain.ports.queries import Page
from entrypoints.http.routes.lists import Cursor, Limit
from entrypoints.http.routing import Call, Route

READ, TAG = "activity:read", "activity"


@attrs.frozen
class ActivityList(ActivityFilter):
    """Filters and page of the feed."""

    limit: Limit = 50
    cursor: Cursor = None


class ActivityHandlers:
    """Each decodes nothing, decides nothing, and calls one use case."""

    def __init__(self, activities: Activities) -> None:
        self.activities = activities

    async def page(self, call: Call) -> Page[ActivityEntry]:
        return await self.activities.page(call.principal, call.query, call.after, call.limit)

    async def of_circuit(self, call: Call) -> Page[ActivityEntry]:
        wanted = attrs.evolve(call.query, circuit_id=call.path["circuit_id"])
        return await self.activities.page(call.principal, wanted, call.after, call.limit)

    async def get(self, call: Call) -> ActivityEntry:
        return await self.activities.get(call.principal, call.path["activity_id"])

    async def stats(self, call: Call) -> ActivityStats:
        return await self.activities.stats(call.principal, call.query)


def activity_routes(activities: Activities) -> Sequence[Route]:
    """Return the routes of the feed."""
    do = ActivityHandlers(activities)
    return (
        Route(
            method="GET",
            path="/api/activities",
            handler=do.page,
            operation_id="activity_list",
            tag=TAG,
            summary="List what happened where the caller belongs, the newest first",
            scope=READ,
            query=ActivityList,
            page=True,
            answer=ActivityEntry,
            problems=("not_found",),
        ),
        Route(
            method="GET",
            path="/api/activities/stats",
            handler=do.stats,
            operation_id="activity_stats",
            tag=TAG,
            summary="Count what happened where the caller belongs, by kind and day",
            scope=READ,
            query=ActivityPeriod,
            answer=ActivityStats,
            problems=("not_found",),
        ),
        Route(
            method="GET",
            path="/api/activities/{activity_id}",
            handler=do.get,
            operation_id="activity_get",
            tag=TAG,
            summary="Read an entry of the feed",
            scope=READ,
            answer=ActivityEntry,
        ),
        Route(
            method="GET",
            path="/api/circuits/{circuit_id}/activities",
            handler=do.of_circuit,
            operation_id="circuit_activity_list",
            tag="circuits",
            summary="List what happened in a circuit, the newest first",
            scope="circuits:read",
            query=ActivityList,
            page=True,
            answer=ActivityEntry,
        ),
    )
