"""Stored bodies in a short form: compressed by what a few of their own kind taught, since rows of one facet are much
alike."""

from collections.abc import Iterable, Sequence
from typing import Final

from zstandard import (
    DICT_TYPE_RAWCONTENT,
    FRAME_HEADER,
    ZstdCompressionDict,
    ZstdCompressor,
    ZstdDecompressor,
    ZstdError,
    train_dictionary,
)

SAMPLES: Final = 64
"""Bodies from which is learned what the others have in common; that takes about 10 ms."""

_FASTEST: Final = -5
_LEARNED: Final = 8192
_ALIKE: Final = 8
"""Bodies against which the others are compressed when nothing can be learned, as of very short ones."""
_MANY: Final = 64
"""Bodies from which on one call for all of them is cheaper than one for each."""
_MARK: Final = FRAME_HEADER[0]
"""How the short form begins, and no JSON."""


class Squeezer:
    """Shortens bodies once it has seen some of them."""

    def __init__(self) -> None:
        self._compressor: ZstdCompressor | None = None
        self._decompressor = ZstdDecompressor()

    @property
    def ready(self) -> bool:
        return self._compressor is not None

    def learn(self, bodies: Sequence[bytes]) -> None:
        """Take samples, which are then what every short form depends on."""
        like = _learned(bodies[:: max(1, len(bodies) // SAMPLES)][:SAMPLES])
        like.precompute_compress(level=_FASTEST)
        self._compressor = ZstdCompressor(dict_data=like, level=_FASTEST, write_dict_id=False)
        self._decompressor = ZstdDecompressor(dict_data=like)

    def squeezed(self, bodies: Sequence[bytes]) -> Iterable[bytes]:
        """Return the short forms of bodies, or themselves before anything was learned."""
        if self._compressor is None:
            return bodies
        if len(bodies) < _MANY:
            # What the compressor returns still takes the room of the whole body; a copy does not.
            return [bytes(memoryview(self._compressor.compress(body))) for body in bodies]
        # Other threads run meanwhile.
        short = self._compressor.multi_compress_to_buffer(list(bodies), threads=1)
        return [short[place].tobytes() for place in range(len(short))]

    def body(self, held: bytes) -> bytes:
        """Return the body of either form."""
        return self._decompressor.decompress(held) if held[0] == _MARK else held


def _learned(samples: Sequence[bytes]) -> ZstdCompressionDict:
    """Return what samples have in common, with codes for it: half the work of finding it in the samples themselves."""
    try:
        return train_dictionary(_LEARNED, list(samples))
    except ZstdError:
        return ZstdCompressionDict(b"".join(samples[:_ALIKE]), dict_type=DICT_TYPE_RAWCONTENT)
