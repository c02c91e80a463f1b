"""Routes with which administrators look after the engine: jobs, configuration, checks (platform.md 9.1)."""

from collections.abc import Awaitable, Callable, Sequence

import attrs

from application.admin.statistics import Dashboard, Statistics
from application.admin.upkeep import JobFilter, Jobs, JobView
from application.settings import Settings
from application.settings.describe import Row, describe
from domain.ports.queries import Page
from entrypoints.cli.findings import Finding, Level
from entrypoints.http.routes.admin_accounts import READ, WRITE
from entrypoints.http.routes.lists import Cursor, Limit
from entrypoints.http.routing import Call, Route

Examine = Callable[[], Awaitable[Sequence[Finding]]]


@attrs.frozen
class JobList(JobFilter):
    """Filters and page of the jobs."""

    limit: Limit = 50
    cursor: Cursor = None


@attrs.frozen
class Configuration:
    """Every variable in force; secrets are `[set]` or `[unset]`."""

    variables: tuple[Row, ...]


@attrs.frozen
class Examination:
    """What `defarm doctor` finds without looking at files; `status` is the worst of the checks."""

    status: Level
    checks: tuple[Finding, ...]


def dashboard_routes(statistics: Statistics) -> Sequence[Route]:
    """Return the route of the numbers."""

    async def dashboard(_: Call) -> Dashboard:
        return await statistics.dashboard()

    return (
        Route(
            method="GET",
            path="/api/admin/dashboard/stats",
            handler=dashboard,
            operation_id="dashboard_stats",
            summary="Read the numbers of the whole store, at most a minute old, and who serves it",
            answer=Dashboard,
            **READ,
        ),
    )


def admin_upkeep_routes(jobs: Jobs, settings: Settings, examine: Examine) -> Sequence[Route]:
    """Return the routes of jobs, configuration and checks."""

    async def page(call: Call) -> Page[JobView]:
        return await jobs.page(call.query, call.after, call.limit)

    async def retry(call: Call) -> JobView:
        return await jobs.retry(call.principal, call.path["job_id"])

    async def configuration(_: Call) -> Configuration:
        return Configuration(describe(settings))

    async def examination(_: Call) -> Examination:
        checks = tuple(await examine())
        order = list(Level)
        return Examination(max((each.level for each in checks), key=order.index, default=Level.OK), checks)

    return (
        Route(
            method="GET",
            path="/api/admin/jobs",
            handler=page,
            operation_id="job_list",
            summary="List the work that waits or failed, newest first",
            query=JobList,
            page=True,
            answer=JobView,
            **READ,
        ),
        Route(
            method="POST",
            path="/api/admin/jobs/{job_id}/retry",
            handler=retry,
            operation_id="job_retry",
            summary="Give a dead job another chance",
            success=(202,),
            location=lambda _: "/api/admin/jobs",
            answer=JobView,
            problems=("job_state",),
            **WRITE,
        ),
        Route(
            method="GET",
            path="/api/admin/config",
            handler=configuration,
            operation_id="configuration_get",
            summary="Read the configuration in force, secrets masked",
            answer=Configuration,
            **READ,
        ),
        Route(
            method="GET",
            path="/api/admin/doctor",
            handler=examination,
            operation_id="doctor_run",
            summary="Examine configuration, store and clocks",
            answer=Examination,
            **READ,
        ),
    )
