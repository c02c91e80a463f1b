"""Passwords (platform.md 1.3, 17.4, 17.5)."""

import asyncio
import os
import sys
import threading
import time
import unicodedata

import pytest
from argon2.exceptions import InvalidHashError, VerificationError

from application.passwords import NICENESS, Passwords, Verdict, password_faults
from domain.errors import Refusal

CHEAP = {"time_cost": 1, "memory_kib": 8192}


@pytest.fixture
def passwords():
    made = Passwords(workers=2, queue=64, **CHEAP)
    yield made
    made.close()


async def test_a_password_verifies_against_its_own_hash_only(passwords):
    encoded = await passwords.hash("correct horse")
    assert encoded.startswith("$argon2id$v=19$m=8192,t=1,p=1$")
    assert await passwords.verify(encoded, "correct horse") == Verdict(True, False)
    assert await passwords.verify(encoded, "Correct horse") == Verdict(False, False)
    assert await passwords.hash("correct horse") != encoded


async def test_a_hash_with_other_parameters_is_due_for_a_new_one(passwords):
    other = Passwords(workers=1, queue=1, time_cost=2, memory_kib=8192)
    encoded = await other.hash("correct horse")
    other.close()
    assert await passwords.verify(encoded, "correct horse") == Verdict(True, True)
    assert await passwords.verify(encoded, "wrong") == Verdict(False, False)


async def test_an_unknown_account_costs_one_hash_and_is_never_right():
    spent: list[float] = []
    passwords = Passwords(workers=1, queue=1, **CHEAP, observe=spent.append)
    assert await passwords.verify(None, "nobody's password") == Verdict(False, False)
    assert len(spent) == 1
    passwords.close()


async def test_threads_that_hash_let_everybody_else_go_first():
    seen: list[int] = []

    def note(_: float) -> None:
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    passwords = Passwords(workers=1, queue=1, **CHEAP, observe=note)
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    await passwords.hash("correct horse")
    passwords.close()
    assert seen == [min(19, usual + NICENESS) if sys.platform == "linux" else usual]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == usual


@pytest.mark.parametrize("encoded", ["$argon2id$broken", "broken", "$argon2id$v=19$m=8192,t=1,p=1$AA$"])
async def test_a_corrupt_hash_is_no_wrong_password(passwords, encoded):
    with pytest.raises((InvalidHashError, VerificationError)):
        await passwords.verify(encoded, "correct horse")


async def test_both_ways_to_compose_a_letter_are_one_password(passwords):
    encoded = await passwords.hash(unicodedata.normalize("NFD", "coração valente"))
    assert (await passwords.verify(encoded, unicodedata.normalize("NFC", "coração valente"))).ok


async def test_a_full_queue_refuses_at_once_and_takes_calls_again_later():
    gate = threading.Event()
    passwords = Passwords(workers=1, queue=2, **CHEAP, observe=lambda seconds: gate.wait(10) and None)
    running = [asyncio.create_task(passwords.hash("correct horse")) for _ in range(3)]
    await asyncio.sleep(0)
    assert passwords.waiting == 2
    with pytest.raises(Refusal) as refused:
        await passwords.hash("one too many")
    assert (refused.value.code, refused.value.members["retry_after_seconds"]) == ("overloaded", 1)
    gate.set()
    await asyncio.gather(*running)
    assert passwords.waiting == 0
    assert (await passwords.hash("one more")).startswith("$argon2id$")
    passwords.close()


async def test_a_caller_who_goes_away_gives_the_place_in_the_queue_back():
    gate = threading.Event()
    passwords = Passwords(workers=1, queue=1, **CHEAP, observe=lambda seconds: gate.wait(10) and None)
    first, second = (asyncio.create_task(passwords.hash("correct horse")) for _ in range(2))
    await asyncio.sleep(0.05)
    second.cancel()
    first.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    third = asyncio.create_task(passwords.hash("correct horse"))
    await asyncio.sleep(0)
    with pytest.raises(Refusal):
        await passwords.hash("the first still keeps its thread busy")
    gate.set()
    assert await third
    passwords.close()


async def test_the_event_loop_goes_on_while_hashes_are_computed():
    passwords = Passwords(workers=1, queue=8, time_cost=4, memory_kib=65_536)
    task = asyncio.gather(*(passwords.hash("correct horse") for _ in range(4)))
    ticks = 0
    start = time.perf_counter()
    while not task.done():
        await asyncio.sleep(0.005)
        ticks += 1
    assert ticks > (time.perf_counter() - start) / 0.1
    passwords.close()


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("123456789", "too_short"),
        ("a\u0301" * 9, "too_short"),
        ("x" * 257, "too_long"),
        ("Maria.Silva", "password_is_name"),
        ("MARIA@fazenda.example", "password_is_name"),
        ("maria-jose-x", "password_is_name"),
        ("1234567890", "password_common"),
        ("Password123", "password_common"),
        ("flamengo123", "password_common"),
        ("qwertyuiop", "password_common"),
        ("0000000000", "password_common"),
    ],
)
def test_the_policy_names_what_is_wrong(password, code):
    email = "maria-jose-x@fazenda.example" if "jose" in password else "maria@fazenda.example"
    faults = password_faults(password, username="maria.silva", email=email)
    assert [(fault.code, fault.pointer) for fault in faults] == [(code, "/password")]
    assert password not in faults[0].detail


@pytest.mark.parametrize(
    "password", ["blau-grün 7", "x" * 256, "a\u0301bcdefghij", "  spaces are kept  ", "nine bulls and a fence"]
)
def test_the_policy_asks_for_no_composition(password):
    assert password_faults(password, username="maria.silva", email="maria@fazenda.example") == ()


def test_the_shortest_length_and_the_pointer_are_the_callers():
    (fault,) = password_faults("thirteen char", shortest=14, pointer="/new_password")
    assert (fault.code, fault.pointer) == ("too_short", "/new_password")
