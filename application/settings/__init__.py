"""The configuration registry (platform.md 11)."""

from application.settings.describe import Row, describe, markdown
from application.settings.load import LocalSecret, load
from application.settings.registry import FIELDS, REGISTRY, Setting, Settings
from application.settings.sources import ConfigurationError, SettingFault, default_env_file
from application.settings.types import Window

__all__ = [
    "FIELDS",
    "REGISTRY",
    "ConfigurationError",
    "LocalSecret",
    "Row",
    "Setting",
    "SettingFault",
    "Settings",
    "Window",
    "default_env_file",
    "describe",
    "load",
    "markdown",
]
