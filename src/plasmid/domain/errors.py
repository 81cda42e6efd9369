"""Every error the API can answer, with its HTTP status (contract A.7).

ApiError
    MalformedJSON           400  the body is not JSON
    InvalidAuthentication   401  no, unknown or expired token
    PermissionDenied        401  the level is not enough
    UsernameOrPasswordError 401  a login names no user, or is not theirs
    ResourceNotFound        404  unknown id, folder, user or route
    InvalidInput            422  a field is wrong
    InvalidState            422  the object is not in the state for this
    InvalidType             422  the method is not one of this class
    AccountError            422  what is said of a new account is wrong
    RateLimitConditional    429  too many calls
    InternalError           500  a bug
    ServiceUnavailable      503  maintenance, overload, no space left
"""

from __future__ import annotations

from typing import Any, ClassVar


class ApiError(Exception):
    """The client's answer to a call that failed."""

    status: ClassVar[int] = 500

    def __init__(self, message: str, details: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    @property
    def type(self) -> str:
        """The error's name as the client knows it."""
        return type(self).__name__


class MalformedJSON(ApiError):
    """The body is not JSON, or its content type says so."""

    status = 400


class InvalidAuthentication(ApiError):
    """There is no token, or it is unknown or expired."""

    status = 401


class PermissionDenied(ApiError):
    """The caller is known and lacks the level (401, not 403: contract A.5)."""

    status = 401


class UsernameOrPasswordError(ApiError):
    """The name and password of a login do not belong together; the client asks again."""

    status = 401


class ResourceNotFound(ApiError):
    """What the call names does not exist."""

    status = 404


class InvalidInput(ApiError):
    """A field of the input is wrong."""

    status = 422


class InvalidState(ApiError):
    """The object is not in a state that allows this."""

    status = 422


class InvalidType(ApiError):
    """The method does not belong to the object's class."""

    status = 422


class AccountError(ApiError):
    """What is said of a new account is wrong; the client knows the type by no name."""

    status = 422


class RateLimitConditional(ApiError):
    """Too many calls; the answer says when to come back."""

    status = 429


class InternalError(ApiError):
    """A bug of the platform."""

    status = 500


class ServiceUnavailable(ApiError):
    """The platform cannot do this now and may later."""

    status = 503
