"""The command line.

Exit codes: 0 success, 1 failure, 2 usage or configuration error.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from app.commands.exits import USAGE_ERROR
from app.commands.imports import quick_imports

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command given by ``arguments`` (default: those of the process); return its exit code."""
    # Imported in a command only: other importers of this module keep the garbage collector as it is.
    with quick_imports():
        from app.commands.parser import parser
        from app.settings import SettingsError

    options = parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    return code


if __name__ == "__main__":
    sys.exit(main())
