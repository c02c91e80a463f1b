from tests.unit.cli.conftest import defarm

__all__ = ["defarm"]
