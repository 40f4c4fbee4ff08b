"""What a token gives access to, and what joining does."""

from __future__ import annotations

from dataclasses import dataclass

from app.sessions.admission import Client
from app.sessions.steps import Attached
from app.sessions.tokens import Credential

__all__ = ["Access", "Joined"]


@dataclass(frozen=True, slots=True)
class Access:
    """A valid credential for the session under a code.

    ``client``: charged with a failed look-up if the session does not exist or the credential belongs to another one.
    None for a member, who knows the code. ``connection``: of a member, its name in the store.
    """

    code: str
    credential: Credential
    client: Client | None = None
    connection: str | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """A participant to whom a connection was attached, or an observer, and the connection's access from now on.

    ``token`` is empty for an observer.
    """

    access: Access
    token: str
    attached: Attached
