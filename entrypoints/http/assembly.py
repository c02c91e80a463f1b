"""The whole HTTP interface of one engine: kernel, routes, health."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from importlib.metadata import version

from application.secrets import derive_key
from application.settings import Settings
from container import Container
from domain.identifiers.personal import IdentifierKeys, new_data_key
from domain.items.dfid import parse_dfid
from domain.ports.cache_control import CacheMode
from entrypoints.cli.doctor import CHECKS, examine
from entrypoints.http.app import App, Observer
from entrypoints.http.health import Health, StoreState
from entrypoints.http.idempotency import Idempotency
from entrypoints.http.kept import KeptAnswers
from entrypoints.http.limits import RequestLimits
from entrypoints.http.openapi import document
from entrypoints.http.pages import kernel_routes
from entrypoints.http.paging import Cursors
from entrypoints.http.routes.access import access_routes
from entrypoints.http.routes.accounts import account_routes
from entrypoints.http.routes.activities import activity_routes
from entrypoints.http.routes.admin_accounts import admin_account_routes
from entrypoints.http.routes.admin_upkeep import Examine, admin_upkeep_routes, dashboard_routes
from entrypoints.http.routes.api_keys import key_routes
from entrypoints.http.routes.audit import audit_routes
from entrypoints.http.routes.cache import cache_routes
from entrypoints.http.routes.circuits import circuit_routes
from entrypoints.http.routes.events import event_routes
from entrypoints.http.routes.identifiers import identifier_routes
from entrypoints.http.routes.imports import import_routes
from entrypoints.http.routes.incidents import incident_routes
from entrypoints.http.routes.item_administration import item_administration_routes
from entrypoints.http.routes.items import item_routes
from entrypoints.http.routes.memberships import membership_routes
from entrypoints.http.routes.metrics import metrics_route
from entrypoints.http.routes.notifications import notification_routes
from entrypoints.http.routes.pages import page_routes
from entrypoints.http.routes.reports import report_routes
from entrypoints.http.routes.sharing import sharing_routes
from entrypoints.http.routes.storage_history import storage_history_routes
from entrypoints.http.routes.streams import stream_routes
from entrypoints.http.routes.tickets import ticket_routes
from entrypoints.http.routes.transfers import transfer_routes
from entrypoints.http.routes.webhooks import webhook_routes
from entrypoints.http.routes.workspaces import workspace_routes
from entrypoints.http.routing import Route
from entrypoints.http.serving import Kernel
from entrypoints.http.settings import HttpSettings


def engine_routes(container: Container) -> list[Route]:
    """Return the routes of every use case. The store must be open, or `identifier_keys` be given otherwise."""
    return [
        *account_routes(container.accounts()),
        *workspace_routes(container.accounts()),
        *import_routes(container.imports()),
        *item_routes(container.items()),
        *transfer_routes(container.transfers()),
        *event_routes(container.events()),
        *circuit_routes(container.circuits()),
        *membership_routes(container.circuits(), container.pages()),
        *page_routes(container.pages()),
        *item_administration_routes(container.item_administration(), container.events()),
        *storage_history_routes(container.storage_histories()),
        *sharing_routes(container.circuits(), _cursors(container.settings())),
        *activity_routes(container.activities()),
        *notification_routes(container.notifications()),
        *access_routes(container.access()),
        *webhook_routes(container.webhooks()),
        *audit_routes(container.audit(), container.dashboards()),
        *incident_routes(container.incidents()),
        *report_routes(container.reports()),
        *identifier_routes(),
        *cache_routes(container.cache()),
        *admin_account_routes(container.accounts(), container.directory()),
        *dashboard_routes(container.statistics()),
        *admin_upkeep_routes(container.outbox_jobs(), container.settings(), _examination(container.settings())),
        *key_routes(container.keys()),
        *ticket_routes(container.tickets()),
        *stream_routes(container.live(), container.notifications(), container.settings().cors_origins),
    ]


def _examination(settings: Settings) -> Examine:
    """Return the checks that need no file. A store in memory is not examined: only its own process can open it."""
    alone = ("configuration", "secrets", "hashing", "edge")
    names = alone if settings.storage == "memory" else tuple(name for name in CHECKS if name != "files")
    return partial(examine, settings, names)


def health_of(container: Container, started_at: datetime) -> Health:
    """Return the state of this instance, starting."""
    settings, backing = container.settings(), container.backing()

    async def ask_store() -> StoreState:
        await container.storage().ping()
        schema = await backing.schema()
        return StoreState(schema.applied, schema.expected)

    return Health(
        version=version("defarm-engine"),
        instance_id=settings.instance_id,
        started_at=started_at,
        mode=settings.storage,
        clock=container.clock(),
        ask_store=ask_store,
        checks=lambda: {
            "cache": cache_state(container),
            "bus": container.bus().state,
            "limiter": "degraded" if container.limiter().degraded else "up",
            "workers": container.crew().state,
        },
    )


def cache_state(container: Container) -> str:
    """Tell whether this instance answers from its cache."""
    control = container.cache_control()
    if control.mode is CacheMode.NONE:
        return "off"
    return "up" if control.degraded_since is None else "degraded"


def kernel_of(container: Container, health: Health) -> Kernel:
    """Return what every route is served with."""
    settings = container.settings()
    seal = container.sealing()
    return Kernel(
        settings=http_settings(settings, health.version),
        authenticator=container.authentication(),
        cursors=_cursors(settings),
        idempotency=Idempotency(container.storage(), container.clock(), settings.idempotency_ttl, seal.seal, seal.open),
        limits=RequestLimits(container.limiter()),
        count_key=container.key_meter().count,
        note_denial=container.denials().note,
        parse_dfid=parse_dfid,
        gate=health,
        kept=KeptAnswers(container.storage(), container.clock()),
    )


def http_settings(settings: Settings, version: str) -> HttpSettings:
    """Return the part of the configuration that the HTTP layer reads."""
    return HttpSettings(
        version=version,
        max_body=settings.max_body,
        max_bulk_body=settings.max_bulk_body,
        max_import_body=settings.max_import_body,
        request_timeout=settings.request_timeout.total_seconds(),
        max_in_flight=settings.max_in_flight,
        cors_origins=frozenset(settings.cors_origins),
        trusted_proxies=tuple(map(str, settings.trusted_proxies)),
        hsts=settings.hsts,
        docs=settings.docs,
        idempotency_ttl=settings.idempotency_ttl,
    )


def _cursors(settings: Settings) -> Cursors:
    roots = (settings.secret_key, settings.secret_key_previous)
    return Cursors(tuple(derive_key(root, "defarm/cursor") for root in roots if root is not None))


def assembled(routes: Sequence[Route], kernel: Kernel, health: Health, observers: tuple[Observer, ...] = ()) -> App:
    """Return the application that serves `routes` and the routes of the kernel itself."""
    return App([*routes, *kernel_routes(routes, health, kernel.settings.docs)], kernel, health, observers)


async def _unwatched() -> tuple[str, bytes]:
    """Stand for the counters of a process that does not serve."""
    return "text/plain", b""


def openapi_document(settings: Settings) -> dict[str, object]:
    """Return the OpenAPI document of this release. No store is opened."""
    container = Container(settings=settings)
    container.identifier_keys.override(IdentifierKeys(new_data_key()))
    health = health_of(container, container.clock().now())
    routes = [*engine_routes(container), metrics_route(_unwatched, None)]
    return document([*routes, *kernel_routes(routes, health, settings.docs)], health.version)
