"""Routes that tell access: explanation and preview (circuits.md 2.6, 2.7)."""

from collections.abc import Sequence

import attrs

from application.access import Access
from application.access.requests import Explain, Preview
from application.access.views import Explanation, Previewed, PreviewView
from entrypoints.http.routes.circuits import MANAGE, ONE, READ
from entrypoints.http.routes.lists import Cursor, Limit
from entrypoints.http.routing import Call, Route

TAG = "access"


@attrs.frozen
class PreviewQuery(Preview):
    """As whom, and which page of the items."""

    limit: Limit = 50
    cursor: Cursor = None


def access_routes(access: Access) -> Sequence[Route]:
    """Return the routes that tell why something is allowed, and what a member would see."""

    async def explain(call: Call) -> Explanation:
        return await access.explain(call.principal, call.query)

    async def preview(call: Call) -> Previewed:
        asked = Preview(as_=call.query.as_, role=call.query.role)
        return await access.preview(call.principal, call.path["circuit_id"], asked, call.after, call.limit)

    return (
        Route(
            method="GET",
            path="/api/access/explain",
            handler=explain,
            operation_id="access_explain",
            tag=TAG,
            summary="Tell why an action is allowed, or why not",
            scope=READ,
            query=Explain,
            answer=Explanation,
            problems=("not_found",),
        ),
        Route(
            method="GET",
            path=f"{ONE}/preview",
            handler=preview,
            operation_id="circuit_preview",
            tag=TAG,
            summary="See what a member, or somebody with a role, would see and may do",
            scope=MANAGE,
            query=PreviewQuery,
            page=True,
            framed=lambda page: page.frame,
            problems=("not_a_member", "permission_missing", "role_unknown"),
            answer=PreviewView,
        ),
    )
