"""Every route has its row in the access matrix, and every row its route."""

from pathlib import Path

from dependency_injector import providers

from domain.identifiers.personal import IdentifierKeys
from entrypoints.http.assembly import engine_routes
from tests.access.rows import ROWS
from tests.access.world import container_in


def test_every_route_stands_in_the_access_matrix(tmp_path: Path) -> None:
    container, _ = container_in(tmp_path)
    container.identifier_keys.override(providers.Object(IdentifierKeys(bytes(32))))
    routes = {route.operation_id: route for route in engine_routes(container)}
    missing = "\n".join(
        f'    "{name}": Row(<who gets a 2xx>),  # {route.method} {route.path}'
        for name, route in routes.items()
        if name not in ROWS
    )
    assert not missing, (
        "routes without a row in the access matrix; add to ROWS of tests/access/rows.py (its docstring says how), "
        f"and run pytest tests/access:\n{missing}"
    )
    gone = sorted(ROWS.keys() - routes.keys())
    assert not gone, f"rows of tests/access/rows.py without a route: {gone}"
