"""`defarm admin`: administrators made and managed without the HTTP interface (platform.md 13)."""

import secrets
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer

from application.accounts.administration import Administration
from application.accounts.values import NewAdministrator
from application.settings import Settings
from container import Container
from domain.access.principal import Principal, system
from domain.accounts.values import Account
from entrypoints.cli.context import REFUSED, USAGE, Halt, globals_of, run_async, settings_of, store_of
from entrypoints.http.codec import shape

app = typer.Typer(help="Make and manage administrators.", no_args_is_help=True, rich_markup_mode=None)

R = TypeVar("R")
User = Annotated[str, typer.Argument(metavar="USER", help="User name or e-mail.")]
Reason = Annotated[str, typer.Option(help="Why, for the audit.")]
Generate = Annotated[bool, typer.Option("--generate", help="Make a password and print it once.")]


@app.command()
def create(
    context: typer.Context,
    username: Annotated[str, typer.Option(help="3 to 64 characters.")],
    email: Annotated[str, typer.Option(help="E-mail address.")],
    display_name: Annotated[str, typer.Option(help="Name that others see.")] = "",
    workspace: Annotated[str | None, typer.Option(help="Workspace; made when there is none of that name.")] = None,
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin.")] = False,
    generate: Generate = False,
) -> None:
    """Make the first or a further administrator. Asks for the password twice unless told otherwise."""
    chosen = globals_of(context)
    settings = settings_of(context)
    request = _shaped(
        {
            "username": username,
            "email": email,
            "password": _password(password_stdin, generate),
            "display_name": display_name,
            **({"workspace_name": workspace} if workspace else {}),
        }
    )

    async def work(container: Container) -> Account:
        return await container.accounts().registrations.create_admin(system(), request)

    account = run_async(_with_store(settings, "POST /api/auth/setup", work))
    document = _document(account) | ({"password": request.password} if generate else {})

    def shown() -> None:
        chosen.output.line(f"Administrator {account.username} made.")
        if generate:
            chosen.output.line(f"Password: {request.password}")

    chosen.output.result(document, shown)


def _shaped(document: dict[str, Any]) -> NewAdministrator:
    found: NewAdministrator = shape(document, NewAdministrator)
    return found


def _password(from_stdin: bool, generate: bool) -> str:
    if from_stdin and generate:
        raise Halt("Choose one of --password-stdin and --generate.", USAGE)
    if generate:
        return secrets.token_urlsafe(18)
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise Halt("There is no terminal to ask for a password; use --password-stdin or --generate.", REFUSED)
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password


@app.command("list")
def list_administrators(context: typer.Context) -> None:
    """List the active administrators."""
    output = globals_of(context).output
    found = _administered(context, "GET /api/admin/users", lambda service, _: service.administrators())
    output.result(
        [_document(account) for account in found],
        lambda: output.table(
            ("username", "email", "since"),
            ((each.username, each.email, each.created_at.date().isoformat()) for each in found),
            styles=("bold",),
        ),
    )


@app.command()
def grant(context: typer.Context, user: User) -> None:
    """Make an account an administrator."""
    _change(context, user, lambda service, actor, one: service.set_admin(actor, one.user_id, True), "is administrator")


@app.command()
def revoke(context: typer.Context, user: User) -> None:
    """Take the standing of an administrator; the last one stays."""
    _change(context, user, lambda service, actor, one: service.set_admin(actor, one.user_id, False), "is not any more")


@app.command()
def freeze(context: typer.Context, user: User, reason: Reason = "frozen from the command line") -> None:
    """Freeze an account: nothing it holds works any more."""
    _change(context, user, lambda service, actor, one: service.freeze(actor, one.user_id, reason), "is frozen")


@app.command()
def unfreeze(context: typer.Context, user: User) -> None:
    """Let a frozen account in again."""
    _change(context, user, lambda service, actor, one: service.unfreeze(actor, one.user_id), "is active")


@app.command("logout-all")
def logout_all(context: typer.Context, user: User) -> None:
    """End every session of an account."""
    _change(context, user, lambda service, actor, one: service.logout_all(actor, one.user_id), "is signed out")


@app.command("reset-password")
def reset_password(context: typer.Context, user: User) -> None:
    """Print a token with which the user sets a new password within the hour."""
    output = globals_of(context).output

    async def work(service: Administration, actor: Principal) -> Any:
        return await service.issue_reset(actor, (await service.named(user)).user_id)

    issued = _administered(context, "POST /api/admin/users/{id}/password-reset", work)
    output.result(
        {"reset_token": issued.secret, "expires_at": issued.expires_at.isoformat()},
        lambda: output.line(f"{issued.secret}\nGood until {issued.expires_at:%Y-%m-%d %H:%M} UTC."),
    )


def _change(
    context: typer.Context,
    user: str,
    change: Callable[[Administration, Principal, Account], Awaitable[Account]],
    became: str,
) -> None:
    async def work(service: Administration, actor: Principal) -> Account:
        return await change(service, actor, await service.named(user))

    account = _administered(context, "the routes under /api/admin/users", work)
    output = globals_of(context).output
    output.result(_document(account), lambda: output.line(f"{account.username} {became}."))


def _administered(context: typer.Context, instead: str, work: Callable[[Administration, Principal], Awaitable[R]]) -> R:
    async def inside(container: Container) -> R:
        return await work(container.accounts().administration, system())

    return run_async(_with_store(settings_of(context), instead, inside))


async def _with_store(settings: Settings, instead: str, work: Callable[[Container], Awaitable[R]]) -> R:
    async with store_of(settings, instead) as container:
        return await work(container)


def _document(account: Account) -> dict[str, Any]:
    return {
        "user_id": account.user_id,
        "username": account.username,
        "email": account.email,
        "display_name": account.display_name,
        "workspace_id": account.workspace_id,
        "is_admin": account.is_admin,
        "status": str(account.status),
    }
