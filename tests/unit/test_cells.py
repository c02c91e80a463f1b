"""Values in cells of Redis that were met before."""

from adapters.redis.cells import MET, Decoder, decode
from domain.ports.cache import Absent, Value

EPOCH = b"first"


def raw(epoch: bytes, version: int, data: bytes) -> bytes:
    return b"V %b %d %b" % (epoch, version, data)


def test_a_value_that_did_not_change_is_the_very_same_value_again() -> None:
    decoder = Decoder()
    value = decoder.decode("a", raw(EPOCH, 1, b"data"), EPOCH)
    assert value == Value(1, b"data")
    assert decoder.decode("a", raw(EPOCH, 1, b"data"), EPOCH) is value


def test_whatever_stands_in_a_cell_after_a_value_is_told_as_it_is() -> None:
    after = [
        (raw(EPOCH, 2, b"data"), EPOCH),
        (raw(EPOCH, 1, b"date"), EPOCH),
        (raw(EPOCH, 1, b"data and more"), EPOCH),
        (raw(EPOCH, 1, b""), EPOCH),
        (raw(EPOCH, 0, b""), EPOCH),
        (raw(EPOCH, 11, b"data"), EPOCH),
        (raw(b"first2", 1, b"data"), b"first2"),
        (raw(EPOCH, 1, b"data"), b"second"),
        (raw(EPOCH, 1, b"data"), None),
        (b"L first token", EPOCH),
        (b"M first 1 token=1", EPOCH),
        (None, EPOCH),
    ]
    for found, epoch in after:
        decoder = Decoder()
        decoder.decode("a", raw(EPOCH, 1, b"data"), EPOCH)
        assert decoder.decode("a", found, epoch) == decode(found, epoch)


def test_a_value_of_another_epoch_is_absent_though_it_was_met() -> None:
    decoder = Decoder()
    decoder.decode("a", raw(EPOCH, 1, b"data"), EPOCH)
    assert decoder.decode("a", raw(EPOCH, 1, b"data"), b"second") == Absent()


def test_no_more_values_are_remembered_than_its_bound() -> None:
    decoder = Decoder()
    values = [decoder.decode(str(key), raw(EPOCH, 1, b"data"), EPOCH) for key in range(MET + 1)]
    assert decoder.decode(str(MET), raw(EPOCH, 1, b"data"), EPOCH) is values[MET]
    assert decoder.decode("0", raw(EPOCH, 1, b"data"), EPOCH) is not values[0]
