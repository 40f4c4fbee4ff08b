"""The command line.

Exit codes: 0 success, 1 failure, 2 usage or configuration error, 130 Ctrl-C, 141 closed pipe.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

import click

from app.commands.exits import CLOSED_PIPE, INTERRUPTED, OK
from app.commands.failures import Failure
from app.commands.program import program

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command given by ``arguments`` (default: those of the process); return its exit code."""
    given = sys.argv[1:] if arguments is None else [*arguments]
    try:
        code = program.main(given, prog_name="join-session", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        _report(error, as_json="--json" in given)
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except SystemExit as exited:
        # By click itself: where writing finds the pipe closed, and after a completion.
        return CLOSED_PIPE if exited.code else OK
    except BrokenPipeError:
        # The interpreter flushes standard output once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    return code if isinstance(code, int) else OK


def _report(error: click.ClickException, *, as_json: bool) -> None:
    if not as_json:
        error.show()
        return
    failure = error if isinstance(error, Failure) else Failure(error.format_message(), code="usage")
    print(json.dumps(failure.body))


if __name__ == "__main__":
    sys.exit(main())
