"""Problems: the registry of codes, the table from exceptions to codes, and the one builder (http.md 4, 5)."""

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import attrs

from domain.errors import Fault, Invalid, Refusal
from domain.ports import errors as storage
from entrypoints.http.codec import encode

CONTENT_TYPE: Final = "application/problem+json"
MAX_ERRORS: Final = 100
_RESERVED: Final = frozenset({"type", "title", "status", "code", "detail", "trace_id", "instance"})
_PAGE_CODES: Final = frozenset({"page_password_required", "page_password_wrong"})


@attrs.frozen
class Words:
    """What a problem says in one language."""

    title: str
    meaning: str
    remedy: str


@attrs.frozen
class Problem:
    """One code of the catalogue. `words` has `en` and `pt_br`."""

    code: str
    status: int
    words: Mapping[str, Words]

    def said(self, locale: str) -> Words:
        """Return the words of a locale, English for one that is not known."""
        return self.words.get(locale) or self.words["en"]


@attrs.frozen
class Occurrence:
    """One problem that happened, before it is written down."""

    problem: Problem
    detail: str = ""
    members: Mapping[str, Any] = attrs.field(factory=dict)
    faults: tuple[Fault, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


@cache
def registry() -> Mapping[str, Problem]:
    """Return every problem by code, in the order of the catalogue."""
    table = tomllib.loads(files("entrypoints.http").joinpath("problems.toml").read_text("utf-8"))
    return {code: _problem(code, row) for code, row in table.items()}


def _problem(code: str, row: Mapping[str, Any]) -> Problem:
    return Problem(code, row["status"], {"en": Words(*row["en"]), "pt_br": Words(*row["pt"])})


_STORAGE: Final[tuple[tuple[type[storage.StorageError], str], ...]] = (
    (storage.NotFound, "not_found"),
    (storage.AlreadyExists, "contention"),
    (storage.Stale, "contention"),
    (storage.Contention, "contention"),
    (storage.Unavailable, "unavailable"),
    (storage.ReadOnly, "read_only"),
    (storage.OutcomeUnknown, "outcome_unknown"),
    (storage.Corrupt, "data_corrupt"),
)


def occurrence(error: BaseException) -> Occurrence:
    """Return what an exception is to the caller: its own code, else `internal_error` without a word more."""
    if isinstance(error, Invalid):
        return Occurrence(registry()["validation_failed"], faults=error.faults)
    if isinstance(error, Refusal):
        return _refused(error)
    code = next((code for cls, code in _STORAGE if isinstance(error, cls)), "internal_error")
    return Occurrence(registry()[code], headers=_headers(code, {}))


def _refused(error: Refusal) -> Occurrence:
    problem = registry().get(error.code)
    if problem is None:
        return Occurrence(registry()["internal_error"])
    members = dict(error.members)
    faults = tuple(members.pop("errors", ()))
    return Occurrence(problem, error.detail, members, faults, _headers(problem.code, members))


def _headers(code: str, members: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    status = registry()[code].status
    if status in (429, 503) or code == "idempotency_running" or "retry_after_seconds" in members:
        return (("retry-after", str(max(1, int(members.get("retry_after_seconds", 1))))),)
    if status == 401:
        return (("www-authenticate", "PageToken" if code in _PAGE_CODES else "Bearer"),)
    if code == "version_mismatch" and "current_version" in members:
        return (("etag", f'"{members["current_version"]}"'),)
    return ()


def body(found: Occurrence, trace_id: str, locale: str = "en") -> bytes:
    """Return the problem object as bytes: at most 100 entries of `errors[]`, extension members last."""
    problem, words = found.problem, found.problem.said(locale)
    answer: dict[str, Any] = {
        "type": f"/problems/{problem.code}",
        "title": words.title,
        "status": problem.status,
        "code": problem.code,
        "detail": _detail(found, locale),
        "trace_id": trace_id,
    }
    answer |= {name: value for name, value in found.members.items() if name not in _RESERVED}
    if found.faults:
        answer["errors"] = errors_of(found.faults[:MAX_ERRORS], locale)
    if len(found.faults) > MAX_ERRORS:
        answer["errors_truncated"] = True
    return encode(answer)


def _detail(found: Occurrence, locale: str) -> str:
    words = found.problem.said(locale)
    if found.problem.code == "validation_failed" and not found.detail:
        count = len(found.faults)
        return _COUNTED[locale == "pt_br"][count != 1].format(count)
    if found.detail and locale == "en":
        return found.detail
    return f"{words.meaning} {words.remedy}"


_COUNTED: Final = (("{} fault.", "{} faults."), ("{} falha.", "{} falhas."))


def errors_of(faults: Iterable[Any], locale: str = "en") -> list[Any]:
    """Return entries of `errors[]`: code, detail, exactly one place, and a suggestion where there is one."""
    return [_entry(fault, locale) if isinstance(fault, Fault) else fault for fault in faults]


def _entry(fault: Fault, locale: str) -> dict[str, Any]:
    place = {"parameter": fault.parameter} if fault.parameter is not None else {"pointer": fault.pointer or ""}
    if fault.header is not None:
        place = {"header": fault.header}
    translated = _FAULTS_PT.get(fault.code) if locale == "pt_br" else None
    entry = {**place, "code": fault.code, "detail": translated or fault.detail}
    return entry if fault.suggestion is None else entry | {"suggestion": fault.suggestion}


_FAULTS_PT: Final = {
    "required": "É obrigatório.",
    "unknown_field": "Não existe este membro aqui.",
    "unknown_parameter": "Não existe este parâmetro aqui.",
    "type": "O tipo é outro.",
    "format": "O formato é outro.",
    "too_short": "É curto demais.",
    "too_long": "É longo demais.",
    "too_few": "Há elementos de menos.",
    "too_many": "Há elementos demais.",
    "out_of_range": "Está fora dos limites.",
    "number_out_of_range": "Inteiros ficam dentro de 2^53-1; outros números são finitos.",
    "not_allowed": "O valor não é permitido aqui.",
    "duplicate": "Está repetido.",
    "null_not_allowed": "Não pode ser nulo.",
    "text_not_allowed": "O texto contém caracteres não permitidos.",
    "password_common": "A senha é comum demais.",
    "password_is_name": "A senha é igual ao nome ou ao e-mail.",
    "password_unchanged": "A senha é igual à anterior.",
}
