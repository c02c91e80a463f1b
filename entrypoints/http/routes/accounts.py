"""Routes of signing in and of one's own account (platform.md 2.3, 3.5, 12.3)."""

from collections.abc import Sequence
from typing import Any

from application.accounts import Accounts
from application.accounts.values import (
    KnownUser,
    Login,
    PasswordChange,
    PasswordResetUse,
    Profile,
    ProfilePatch,
    Refresh,
    Registration,
    SessionView,
    Setup,
    TokenPair,
)
from domain.ports.queries import Page
from entrypoints.http.routes.lists import PageQuery
from entrypoints.http.routing import Call, Route

TAG = "accounts"

_NEW_USER = {"username": "ana.souza", "email": "ana@fazenda.example.com", "password": "seven brown oxen graze"}
_TOKENS: dict[str, Any] = {"secret": True, "answer": TokenPair}


class AccountHandlers:
    """Each calls one use case."""

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts

    async def register(self, call: Call) -> TokenPair:
        return await self.accounts.registrations.register(call.principal, call.body)

    async def setup(self, call: Call) -> TokenPair:
        return await self.accounts.registrations.setup(call.principal, call.body)

    async def login(self, call: Call) -> TokenPair:
        return await self.accounts.logins.login(call.principal, call.body)

    async def refresh(self, call: Call) -> TokenPair:
        return await self.accounts.refreshing.refresh(call.principal, call.body)

    async def reset_password(self, call: Call) -> None:
        await self.accounts.resets.use(call.principal, call.body)

    async def change_password(self, call: Call) -> TokenPair:
        return await self.accounts.logins.change_password(call.principal, call.body)

    async def logout(self, call: Call) -> None:
        await self.accounts.sessions.logout(call.principal)

    async def logout_all(self, call: Call) -> None:
        await self.accounts.sessions.logout_all(call.principal)

    async def sessions(self, call: Call) -> Page[SessionView]:
        return await self.accounts.sessions.page(call.principal, call.after, call.limit)

    async def revoke_session(self, call: Call) -> None:
        await self.accounts.sessions.revoke(call.principal, call.path["session_id"], call.if_match)

    async def profile(self, call: Call) -> Profile:
        return await self.accounts.profiles.get(call.principal)

    async def update_profile(self, call: Call) -> Profile:
        return await self.accounts.profiles.patch(call.principal, call.body, call.if_match)

    async def look_up(self, call: Call) -> KnownUser:
        return await self.accounts.profiles.look_up(call.path["username"])


def account_routes(accounts: Accounts) -> Sequence[Route]:
    """Return the routes of signing in, sessions and profiles."""
    do = AccountHandlers(accounts)
    return (*_public(do), *_own_sessions(do), *_profiles(do))


def _public(do: AccountHandlers) -> Sequence[Route]:
    founded: dict[str, Any] = {
        "public": True,
        "policy": "register",
        "success": (201,),
        "location": lambda _: "/api/auth/profile",
        **_TOKENS,
    }
    return (
        Route(
            method="POST",
            path="/api/auth/register",
            handler=do.register,
            operation_id="account_register",
            tag=TAG,
            summary="Make an account, in a workspace of its own or by invitation",
            body=Registration,
            problems=(
                "registration_closed",
                "invitation_invalid",
                "account_exists",
                "workspace_name_taken",
                "overloaded",
            ),
            request_example=_NEW_USER,
            **founded,
        ),
        Route(
            method="POST",
            path="/api/auth/setup",
            handler=do.setup,
            operation_id="account_setup",
            tag=TAG,
            summary="Make the first administrator with the setup token",
            body=Setup,
            problems=("setup_done", "setup_invalid", "account_exists", "workspace_name_taken", "overloaded"),
            request_example={"setup_token": "dfs_" + "0" * 46, **_NEW_USER},
            **founded,
        ),
        Route(
            method="POST",
            path="/api/auth/login",
            handler=do.login,
            operation_id="session_open",
            tag=TAG,
            summary="Sign in with a user name or an e-mail",
            public=True,
            body=Login,
            problems=("login_limited", "login_failed", "account_frozen", "overloaded"),
            request_example={"username": "ana.souza", "password": "seven brown oxen graze"},
            **_TOKENS,
        ),
        Route(
            method="POST",
            path="/api/auth/refresh",
            handler=do.refresh,
            operation_id="session_refresh",
            tag=TAG,
            summary="Exchange a refresh token for a new pair",
            public=True,
            body=Refresh,
            problems=("refresh_invalid",),
            request_example={"refresh_token": "dfr_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcd4PN0Wq"},
            **_TOKENS,
        ),
        Route(
            method="POST",
            path="/api/auth/password/reset",
            handler=do.reset_password,
            operation_id="password_reset",
            tag=TAG,
            summary="Set a new password with a reset token",
            public=True,
            body=PasswordResetUse,
            success=(204,),
            problems=("reset_invalid", "overloaded"),
            request_example={"reset_token": "dfp_" + "0" * 46, "new_password": "seven brown oxen graze"},
        ),
    )


def _own_sessions(do: AccountHandlers) -> Sequence[Route]:
    return (
        Route(
            method="PUT",
            path="/api/auth/password",
            handler=do.change_password,
            operation_id="password_change",
            tag=TAG,
            summary="Change the own password; every older token ends",
            session=True,
            body=PasswordChange,
            problems=("login_limited", "password_wrong", "token_revoked", "overloaded"),
            request_example={"current_password": "seven brown oxen graze", "new_password": "nine white cows rest"},
            **_TOKENS,
        ),
        Route(
            method="POST",
            path="/api/auth/logout",
            handler=do.logout,
            operation_id="session_close",
            tag=TAG,
            summary="End the own session",
            session=True,
            success=(204,),
        ),
        Route(
            method="POST",
            path="/api/auth/logout-all",
            handler=do.logout_all,
            operation_id="session_close_all",
            tag=TAG,
            summary="End all own sessions",
            session=True,
            success=(204,),
        ),
        Route(
            method="GET",
            path="/api/auth/sessions",
            handler=do.sessions,
            operation_id="session_list",
            tag=TAG,
            summary="List the own active sessions",
            session=True,
            query=PageQuery,
            page=True,
            answer=SessionView,
        ),
        Route(
            method="DELETE",
            path="/api/auth/sessions/{session_id}",
            handler=do.revoke_session,
            operation_id="session_revoke",
            tag=TAG,
            summary="End one own session",
            session=True,
            success=(204,),
            if_match="honoured",
        ),
    )


def _profiles(do: AccountHandlers) -> Sequence[Route]:
    return (
        Route(
            method="GET",
            path="/api/auth/profile",
            handler=do.profile,
            operation_id="profile_get",
            tag=TAG,
            summary="Read the own account",
            any_credential=True,
            versioned=True,
            answer=Profile,
        ),
        Route(
            method="PATCH",
            path="/api/auth/profile",
            handler=do.update_profile,
            operation_id="profile_update",
            tag=TAG,
            summary="Change the own account",
            session=True,
            body=ProfilePatch,
            if_match="required",
            versioned=True,
            answer=Profile,
            problems=("login_limited", "password_wrong", "account_exists", "overloaded"),
            request_example={"display_name": "Ana Souza", "locale": "pt_br"},
        ),
        Route(
            method="GET",
            path="/api/users/by-username/{username}",
            handler=do.look_up,
            operation_id="user_find",
            tag=TAG,
            summary="Look a user up by the exact user name",
            scope="circuits:read",
            policy="lookup",
            answer=KnownUser,
        ),
    )
