"""`defarm serve` and `defarm health`."""

import http.client
import json
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from entrypoints.cli.context import UNREACHABLE, USAGE, Halt, globals_of, output_of, seen_secret, settings_of
from entrypoints.cli.serving import SWITCHES, VARIABLES, serve_with

_Text = Annotated[str | None, typer.Option(show_default=False)]


def serve(
    context: typer.Context,
    host: _Text = None,
    port: _Text = None,
    workers: _Text = None,
    storage: _Text = None,
    log_level: _Text = None,
    log_format: _Text = None,
    skip_migrations: Annotated[bool, typer.Option("--skip-migrations", help="Wait for `defarm migrate`.")] = False,
    no_setup_token: Annotated[bool, typer.Option("--no-setup-token", help="Print no setup token.")] = False,
) -> None:
    """Run the engine until a signal; without any setting on its own PostgreSQL under ./.defarm."""
    given = {name: text for name, text in context.params.items() if text not in (None, False)}
    options = {variable: given.get(name) for name, variable in VARIABLES.items()}
    options |= {variable: "false" for name, variable in SWITCHES.items() if name in given}
    raise typer.Exit(serve_with(globals_of(context), options))


def health(
    context: typer.Context,
    url: Annotated[str | None, typer.Option(help="Address of the server; default: this host, $PORT.")] = None,
    ready: Annotated[bool, typer.Option("--ready", help="Ask whether it is ready, not only alive.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait.")] = 2.0,
) -> None:
    """Ask a running server how it is; exit code 0 for 200, else 3."""
    output = output_of(context)
    base = url or f"http://127.0.0.1:{settings_of(context, local_secret=seen_secret).port}"
    path = "/health/ready" if ready else "/health"
    status, body = _asked(base, path, timeout)
    output.result(body, lambda: output.line(str(body.get("phase") or body.get("status") or status)))
    if status != 200:
        raise typer.Exit(UNREACHABLE)


def _asked(base: str, path: str, timeout: float) -> tuple[int, dict[str, Any]]:
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Halt(f"{base} is not an http or https address.", USAGE)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=timeout)
    try:
        connection.request("GET", parts.path.rstrip("/") + path, headers={"accept": "application/json"})
        answer = connection.getresponse()
        return answer.status, _object(answer.read())
    except (OSError, http.client.HTTPException) as error:
        raise Halt(f"{base} does not answer: {error or type(error).__name__}", UNREACHABLE) from error
    finally:
        connection.close()


def _object(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
