"""The catalogue keeps http.md 4 and 5."""

import json
import re
from typing import Any

import pytest

from domain.errors import Fault, Invalid, Refusal, not_found
from domain.ports import errors as storage
from entrypoints.http.errors import body, occurrence, registry


def written(error: Exception, locale: str = "en") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body(occurrence(error), "t" * 32, locale))
    return found


def test_every_code_has_a_status_and_words_in_both_languages() -> None:
    assert len(registry()) > 130
    for code, problem in registry().items():
        assert re.fullmatch(r"[a-z_]+", code)
        assert 400 <= problem.status < 600
        for locale in ("en", "pt_br"):
            words = problem.words[locale]
            assert words.title and words.meaning.endswith(".") and words.remedy.endswith(".")
            assert len(words.title) <= 40


def test_a_problem_has_the_members_of_the_format() -> None:
    found = written(Refusal("version_mismatch", "It is at version 4.", current_version=4))
    assert found == {
        "type": "/problems/version_mismatch",
        "title": "Changed meanwhile",
        "status": 412,
        "code": "version_mismatch",
        "detail": "It is at version 4.",
        "trace_id": "t" * 32,
        "current_version": 4,
    }


def test_faults_are_listed_with_one_place_each_and_cut_at_one_hundred() -> None:
    faults = [
        Fault("type", "A text is expected.", pointer="/a"),
        Fault("out_of_range", "1 to 200.", parameter="limit"),
        Fault("format", "?", header="If-Match"),
        Fault("unknown_field", "?", pointer="/nmae", suggestion="name"),
    ]
    found = written(Invalid(faults))
    assert found["detail"] == "4 faults."
    assert found["errors"] == [
        {"pointer": "/a", "code": "type", "detail": "A text is expected."},
        {"parameter": "limit", "code": "out_of_range", "detail": "1 to 200."},
        {"header": "If-Match", "code": "format", "detail": "?"},
        {"pointer": "/nmae", "code": "unknown_field", "detail": "?", "suggestion": "name"},
    ]
    many = written(Invalid([Fault("type", "", pointer=f"/{n}") for n in range(101)]))
    assert len(many["errors"]) == 100
    assert many["errors_truncated"] is True


def test_words_follow_the_locale_and_codes_do_not() -> None:
    found = written(not_found(), "pt_br")
    assert found["title"] == "Não encontrado"
    assert found["code"] == "not_found"
    assert written(Invalid([Fault("type", "?", pointer="")]), "pt_br")["errors"][0]["detail"] == "O tipo é outro."


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (storage.NotFound("items", "x"), "not_found"),
        (storage.AlreadyExists("items"), "contention"),
        (storage.Stale("items"), "contention"),
        (storage.Contention(), "contention"),
        (storage.Unavailable("postgres://user:pw@host"), "unavailable"),
        (storage.OutcomeUnknown(), "outcome_unknown"),
        (storage.Corrupt("items"), "data_corrupt"),
        (storage.NestedUnit(), "internal_error"),
        (storage.UnitDoomed(), "internal_error"),
        (storage.Closed(), "internal_error"),
        (KeyError("secret"), "internal_error"),
        (Refusal("no_such_code", "secret"), "internal_error"),
    ],
)
def test_each_exception_has_its_code_and_nothing_leaks(error: Exception, code: str) -> None:
    found = written(error)
    assert found["code"] == code
    assert "secret" not in str(found)
    assert "host" not in str(found)


def test_refusals_to_wait_for_say_how_long() -> None:
    assert occurrence(storage.Unavailable()).headers == (("retry-after", "1"),)
    assert occurrence(Refusal("rate_limited", retry_after_seconds=12)).headers == (("retry-after", "12"),)
    assert occurrence(Refusal("idempotency_running")).headers == (("retry-after", "1"),)


def test_missing_credentials_name_the_scheme() -> None:
    assert occurrence(Refusal("unauthenticated")).headers == (("www-authenticate", "Bearer"),)
    assert occurrence(Refusal("page_password_required")).headers == (("www-authenticate", "PageToken"),)


def test_a_refusal_cannot_replace_the_standard_members() -> None:
    assert written(Refusal("not_found", status=200, trace_id="x"))["status"] == 404
