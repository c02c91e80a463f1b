"""What is remembered of a value goes by the value itself."""

import attrs

from application.remembering import Attached, Remembered


def test_an_equal_value_is_not_the_same_value() -> None:
    made: list[int] = []
    remembered: Remembered[list[int], int] = Remembered(2)

    def make(value: list[int]) -> int:
        made.append(len(made))
        return made[-1]

    one, equal = [1], [1]
    assert [remembered.of(one, make), remembered.of(equal, make), remembered.of(one, make)] == [0, 1, 0]


def test_no_more_than_the_newest_are_remembered_and_a_value_in_the_place_of_a_forgotten_one_is_new() -> None:
    remembered: Remembered[list[int], int] = Remembered(2)
    for number in range(1000):
        assert remembered.of([number], lambda value: value[0]) == number
    assert len(remembered._held) == 2


@attrs.frozen
class Named:
    name: str


def test_what_is_attached_to_a_value_is_forgotten_with_it_and_made_anew_for_another_reason() -> None:
    attached: Attached[Named, str] = Attached()
    first, equal = Named("a"), Named("a")
    made = [attached.of(first, lambda _: "one", 1), attached.of(equal, lambda _: "two", 1)]
    assert [attached.of(value, lambda _: "anew", 1) for value in (first, equal)] == made == ["one", "two"]
    assert attached.of(first, lambda _: "anew", 2) == "anew"
    del first, equal
    assert not attached._held
