from tests.application.circuits.conftest import passwords, storage, world

__all__ = ["passwords", "storage", "world"]
