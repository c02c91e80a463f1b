"""Routes of the storage history (items-events.md 11, 12.3)."""

from collections.abc import Sequence
from typing import Any

from application.storage_history import Locations, StorageHistories, StorageHistory, StorageStatistics
from entrypoints.http.routing import Call, Route


def storage_history_routes(histories: StorageHistories) -> Sequence[Route]:
    """Return the routes of the storage history."""

    async def of_item(call: Call) -> StorageHistory:
        return await histories.of_item(call.principal, call.path["dfid"])

    async def locations(call: Call) -> Locations:
        return await histories.locations(call.principal, call.path["dfid"])

    async def statistics(_: Call) -> StorageStatistics:
        return await histories.statistics()

    read: dict[str, Any] = {"method": "GET", "scope": "items:read"}
    told = "Read which stores hold or held an item"
    return (
        Route(
            path="/api/storage-history/{dfid}",
            handler=of_item,
            operation_id="storage_history_get",
            tag="storage history",
            summary=told,
            answer=StorageHistory,
            **read,
        ),
        Route(
            path="/api/items/{dfid}/storage-history",
            handler=of_item,
            operation_id="item_storage_history",
            tag="items",
            summary=told,
            answer=StorageHistory,
            **read,
        ),
        Route(
            path="/api/storage-history/{dfid}/locations",
            handler=locations,
            operation_id="storage_location_list",
            tag="storage history",
            summary="List the stores that hold an item now",
            answer=Locations,
            **read,
        ),
        Route(
            method="GET",
            path="/api/storage-history/statistics",
            handler=statistics,
            operation_id="storage_statistics",
            tag="storage history",
            summary="Count the items of each store",
            scope="admin:read",
            admin=True,
            answer=StorageStatistics,
        ),
    )
