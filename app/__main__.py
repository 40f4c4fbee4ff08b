"""Run the command line: ``python -m app`` is the same as ``join-session``."""

from __future__ import annotations

import sys

from app.cli import main

sys.exit(main())
