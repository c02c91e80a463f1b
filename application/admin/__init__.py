"""What administrators see and change (platform.md 9)."""
