"""The region of the circuits' tests: Ana, Bia and Caio, each of a workspace of their own."""

from tests.http.circuits.conftest import region

__all__ = ["region"]
