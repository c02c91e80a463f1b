"""From the credential of a request to the principal, and what a route demands of it (platform.md 1.4, 3.1)."""

from collections.abc import Callable
from enum import Enum
from typing import Protocol

import attrs

from application.ahead import NOTHING_AHEAD, Ahead
from domain.access.principal import ANONYMOUS, Principal, PrincipalKind, WorkspaceRole, system
from domain.errors import Refusal
from entrypoints.http.exchange import Exchange

KEY_PREFIX = "dfm_"


class Carrier(Enum):
    """In what a credential came."""

    TOKEN = "token"  # noqa: S105 - the name of a carrier
    API_KEY = "api_key"
    TICKET = "ticket"


@attrs.frozen(slots=False)
class Credential:
    """What the request shows, unchecked."""

    carrier: Carrier
    text: str = attrs.field(repr=False)


@attrs.frozen(slots=False)
class Client:
    """Who is on the line, whatever they show, and what is read with their standing. `locale` is that of
    Accept-Language."""

    address: str | None
    user_agent: str | None
    locale: str
    trace_id: str
    ahead: Ahead = attrs.field(default=NOTHING_AHEAD, repr=False)


class Authenticator(Protocol):
    """Finds the principal of a credential."""

    async def authenticate(self, credential: Credential, client: Client) -> Principal:
        """Return the principal. Raises Refusal (401, 403) for a credential that is not valid (platform.md 3.3, 4)."""
        ...


@attrs.frozen
class Demand:
    """What a route asks of its caller; exactly one of the first four is set."""

    scope: str | None = None
    session: bool = False
    any_credential: bool = False
    public: bool = False
    admin: bool = False
    manager: bool = False
    credential_if_sent: bool = False
    ticket: bool = False
    opened_by: Callable[[str], bool] | None = attrs.field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        chosen = (self.scope is not None, self.session, self.any_credential, self.public)
        if sum(chosen) != 1:
            raise TypeError("a route declares exactly one of scope, session, any_credential, public")


async def authenticate(exchange: Exchange, demand: Demand, authenticator: Authenticator) -> Principal:
    """Return the principal of a request. Raises Refusal (400, 401, 403)."""
    client = client_of(exchange)
    if demand.public and not demand.credential_if_sent:
        return _anonymous(client)
    if demand.opened_by is not None and demand.opened_by(_bare_bearer(exchange)):
        return _opener(client, demand)
    credential = read_credential(exchange, demand.ticket)
    if credential is None:
        if demand.public:
            return _anonymous(client)
        raise Refusal("unauthenticated", "This route needs a credential.")
    exchange.credential_sent = True
    return await authenticator.authenticate(credential, client)


def _bare_bearer(exchange: Exchange) -> str:
    """Return the text of a bearer of whatever form."""
    scheme, _, text = (exchange.header(b"authorization") or "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" else ""


def _opener(client: Client, demand: Demand) -> Principal:
    """Return who comes with the bearer of one route: nobody in particular, admitted there."""
    scopes = frozenset({demand.scope} if demand.scope else ())
    return attrs.evolve(system(client.trace_id), is_admin=True, scopes=scopes, address=client.address)


def client_of(exchange: Exchange) -> Client:
    """Return who is on the line."""
    agent = exchange.header(b"user-agent")
    return Client(exchange.address, agent[:256] if agent else None, exchange.locale, exchange.trace_id, exchange.ahead)


def _anonymous(client: Client) -> Principal:
    return attrs.evolve(
        ANONYMOUS,
        address=client.address,
        user_agent=client.user_agent,
        locale=client.locale,
        trace_id=client.trace_id,
    )


def read_credential(exchange: Exchange, ticket: bool = False) -> Credential | None:
    """Return what the request shows, None for nothing. Raises Refusal `ambiguous_credentials`, `unauthenticated`."""
    bearer, key = exchange.header(b"authorization"), exchange.header(b"x-api-key")
    paper = _ticket(exchange) if ticket else None
    if exchange.repeated & {b"authorization", b"x-api-key"} or (bearer, key, paper).count(None) < 2:
        raise Refusal("ambiguous_credentials", "Send one credential.")
    if paper is not None:
        return Credential(Carrier.TICKET, paper)
    if key is not None:
        return _key(key.strip())
    return None if bearer is None else _bearer(bearer)


def _ticket(exchange: Exchange) -> str | None:
    pairs = (part.partition(b"=") for part in exchange.query.split(b"&"))
    return next((value.decode("latin-1") for name, _, value in pairs if name == b"ticket"), None)


def _key(text: str) -> Credential:
    if not text.startswith(KEY_PREFIX):
        raise Refusal("unauthenticated", "This is not an API key.")
    return Credential(Carrier.API_KEY, text)


def _bearer(value: str) -> Credential:
    scheme, _, text = value.partition(" ")
    text = text.strip()
    if scheme.lower() != "bearer" or not text:
        raise Refusal("unauthenticated", "The scheme is Bearer.")
    return _key(text) if text.startswith(KEY_PREFIX) else Credential(Carrier.TOKEN, text)


def admit(principal: Principal, demand: Demand) -> None:
    """Refuse a principal that the route is not for. Raises Refusal (403)."""
    if demand.public:
        return
    if demand.session and principal.kind is not PrincipalKind.USER:
        raise Refusal("session_required", "This needs a user's own token, not an API key.")
    if demand.scope is not None and not principal.holds_scope(demand.scope):
        raise Refusal("scope_missing", f"The key lacks the scope {demand.scope}.", needed=[demand.scope])
    if demand.admin and not principal.is_admin:
        raise Refusal("admin_required", "Only an administrator may do this.")
    if demand.manager and principal.workspace_role is not WorkspaceRole.MANAGER:
        raise Refusal("manager_required", "Only a manager of the workspace may do this.")
