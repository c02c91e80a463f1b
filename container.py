"""Assembly of the engine."""
