"""The log is the tree of RFC 6962, whatever pieces it is kept in; its proofs prove that and nothing else."""

import hashlib
from collections.abc import Sequence

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.audit import merkle
from domain.audit.record import entry_hash, personal_digest
from domain.audit.values import AuditEntry
from domain.document import Document
from domain.instants import parse_instant

ENTRY = AuditEntry(
    entry_id="01941f29-7c00-7000-8000-0000000000f1",
    at=parse_instant("2025-01-08T12:00:00.000001Z"),  # type: ignore[arg-type]
    actor=Document(
        kind="user",
        key_id=None,
        session_id="018f3a00-0000-7000-8000-0000000000e1",
        user_id="018f3a00-0000-7000-8000-0000000000b1",
        workspace_id="018f3a00-0000-7000-8000-0000000000a1",
    ),
    action="item.created",
    resource=Document(kind="item", id="DFID-20250108-000042-94E"),
    circuit_id=None,
    workspace_id="018f3a00-0000-7000-8000-0000000000a1",
    outcome="success",
    severity="info",
    trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
    entry_hash="",
    personal_digest="cb2248c13974d532d1493c46e94baf164fc740297e8c6e2b5f2df780f08dcca1",
)


def leaf(number: int) -> str:
    return hashlib.sha256(b"\x00" + str(number).encode()).hexdigest()


def plain_root(leaves: Sequence[str]) -> str:
    """Return the root as RFC 6962 defines it."""
    if not leaves:
        return hashlib.sha256().hexdigest()
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    return merkle.node(plain_root(leaves[:half]), plain_root(leaves[half:]))


def grown(sizes: Sequence[int]) -> dict[merkle.Place, tuple[str, ...]]:
    """Return the tiles of a log that grew in these steps, each from its unfinished tiles alone."""
    tiles: dict[merkle.Place, tuple[str, ...]] = {}
    size = 0
    for step in sizes:
        unfinished = {place: tiles[place] for place, _ in merkle.edge(size)}
        assert all(len(tiles[place]) == held for place, held in merkle.edge(size))
        tiles |= merkle.extended(size, unfinished, map(leaf, range(size, size + step)))
        size += step
    return tiles


def test_the_vectors_of_the_specification_hold() -> None:
    personal = Document(address="203.0.113.7", submitted_name=None, user_agent="curl/8.5.0")
    assert personal_digest(bytes(range(16)), personal) == ENTRY.personal_digest
    first = entry_hash(ENTRY)
    assert first == "2cdb50d3e3ced43803ab7adc262d1854c522f90425bfa27d7501225048cec0bc"
    second = entry_hash(attrs.evolve(ENTRY, entry_id=ENTRY.entry_id[:-1] + "2", personal_digest=None))
    assert second == "c77fd2ebb268b6747cf8c497f39cd5baa662afffa54adbe1c85836c31f23221d"
    tiles = merkle.extended(0, {}, [first, second])
    assert merkle.Tree(2, tiles).root() == "358fb7ea723949c3a4a0ec0d25b0195630a626167c7cb8e69f3ff65a497ba183"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([1, 2, 3, 100, 255, 256, 257, 700]), max_size=5), st.data())
def test_however_it_grew_root_and_proofs_are_those_of_the_plain_tree(sizes: list[int], data: st.DataObject) -> None:
    tiles, size = grown(sizes), sum(sizes)
    leaves = list(map(leaf, range(size)))
    root = merkle.Tree(size, tiles).root()
    assert root == plain_root(leaves)
    if not size:
        return
    index = data.draw(st.integers(0, size - 1))
    needed = merkle.tiles_for(size, lambda tree: tree.inclusion(index))
    path = merkle.Tree(size, {place: tiles[place] for place in needed}).inclusion(index)
    assert merkle.included(leaves[index], index, size, path, root)
    assert not merkle.included(leaf(-1), index, size, path, root)
    assert not merkle.included(leaves[index], index, size, [*path, root], root)
    earlier = data.draw(st.integers(1, size))
    before = plain_root(leaves[:earlier])
    proof = merkle.Tree(size, tiles).consistency(earlier)
    assert merkle.consistent(earlier, size, proof, before, root)
    if earlier < size:
        assert not merkle.consistent(earlier, size, proof, leaf(-1), root)
        assert not merkle.consistent(earlier, size, proof, before, leaf(-1))


def test_a_proof_in_a_log_of_millions_reads_a_handful_of_tiles() -> None:
    size = 5_000_003
    for index in (0, 1_234_567, size - 1):
        assert len(merkle.tiles_for(size, lambda tree, index=index: tree.inclusion(index))) <= 9
    assert len(merkle.tiles_for(size, lambda tree: tree.consistency(4_000_001))) <= 12
