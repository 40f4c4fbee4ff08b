"""Headers of responses to clients that should come to another replica."""

from __future__ import annotations

from app.http.bucket_cookie import BucketCookie

__all__ = ["cookie_headers", "drain_headers", "encoded"]


def drain_headers(affinity_cookie: str | None, bucket_cookie: BucketCookie | None = None) -> list[tuple[str, str]]:
    """Return the headers that keep a client from returning to this replica."""
    return [("connection", "close"), *cookie_headers(affinity_cookie, bucket_cookie)]


def cookie_headers(affinity_cookie: str | None, bucket_cookie: BucketCookie | None) -> list[tuple[str, str]]:
    """Return the headers after which a load balancer may choose another replica for a client."""
    headers = []
    if affinity_cookie is not None:
        headers.append(("set-cookie", f"{affinity_cookie}=; Path=/; Max-Age=0; HttpOnly"))
    if bucket_cookie is not None:
        headers.append(bucket_cookie.cleared())
    return headers


def encoded(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers]
