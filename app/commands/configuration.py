"""The settings, as commands read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.commands.failures import MisconfiguredError

if TYPE_CHECKING:
    from app.settings import Settings

__all__ = ["configuration"]

_ENV_FILE: Final = Path(".env")


def configuration(env_file: Path | None = None) -> Settings:
    """Return the settings; raises MisconfiguredError with all of their problems."""
    from app.settings import SettingsError, load_settings

    try:
        return load_settings(env_file or _ENV_FILE)
    except SettingsError as error:
        raise MisconfiguredError(str(error)) from error
