"""API keys: what their creators and managers do with them, and how they are judged (platform.md 4)."""
