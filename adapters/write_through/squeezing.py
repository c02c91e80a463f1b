"""Stored bodies in a short form: compressed against a few of their own kind, since rows of one facet are much alike."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from zstandard import DICT_TYPE_RAWCONTENT, FRAME_HEADER, ZstdCompressionDict, ZstdCompressor, ZstdDecompressor

SAMPLES: Final = 8
"""Bodies against which the others are compressed."""

_FASTEST: Final = -5
_VIEW: Final[Callable[[bytes], memoryview]] = memoryview
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
        step = max(1, len(bodies) // SAMPLES)
        like = ZstdCompressionDict(b"".join(bodies[::step][:SAMPLES]), dict_type=DICT_TYPE_RAWCONTENT)
        like.precompute_compress(level=_FASTEST)
        self._compressor = ZstdCompressor(dict_data=like, level=_FASTEST, write_dict_id=False)
        self._decompressor = ZstdDecompressor(dict_data=like)

    def squeezed(self, bodies: Iterable[bytes]) -> Iterator[bytes]:
        """Return the short forms of bodies, or themselves before anything was learned."""
        if self._compressor is None:
            return iter(bodies)
        # What the compressor returns still takes the room of the whole body; a copy does not.
        return map(bytes, map(_VIEW, map(self._compressor.compress, bodies)))

    def body(self, held: bytes) -> bytes:
        """Return the body of either form."""
        return self._decompressor.decompress(held) if held[0] == _MARK else held
