"""The circuits service."""

from application.circuits.service import Circuits

__all__ = ["Circuits"]
