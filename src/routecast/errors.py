"""The errors that Routecast raises on purpose.

    RoutecastError
    ├── DataError           a file, row or value of the user's data
    ├── ConfigError         routecast.toml, a flag, an environment variable, a name
    ├── ArtifactError       a trained router or an embedder on disk
    ├── MissingExtraError   an optional dependency that is not installed
    ├── RequestError        a client's request to the gateway
    └── UpstreamError       an endpoint that refused or failed; holds its HTTP status
        ├── UpstreamTimeoutError    an endpoint that took longer than the settings allow
        └── UpstreamUnavailableError    endpoints that failed so often that none is asked now

A message says what is wrong, shows the value with ``!r``, says what is accepted and what to do
next. Only ``cli/main.py`` turns these into exit codes, and only ``gateway/errors.py`` into JSON, in
the shape of the API that was asked. Three more, of a judge's answers and of its budget, are defined
where they are caught, in ``label``.
"""


class RoutecastError(Exception):
    """The root: whatever Routecast refuses to do, it refuses with one of these."""


class DataError(RoutecastError):
    """A file, a row or a value of the user's data is not usable."""


class ConfigError(RoutecastError):
    """A setting, flag, name or environment variable is not usable."""


class ArtifactError(RoutecastError):
    """A trained router or an embedder on disk is missing, damaged or does not fit."""


class MissingExtraError(RoutecastError):
    """An optional dependency is needed and not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        """Name the feature that was asked for and the extra that brings it."""
        super().__init__(
            f"{feature} needs the extra {extra!r}; "
            f"install it with: pip install 'routecast[{extra}]'"
        )
        self.extra = extra


class RequestError(RoutecastError):
    """A client's request cannot be served as it stands.

    Attributes:
        status: HTTP status for the client, 400 to 499.
        code: Short machine-readable reason, as in OpenAI's error objects.
    """

    def __init__(self, message: str, *, status: int = 400, code: str = "invalid_request") -> None:
        """Keep the message for the client beside its status and code."""
        super().__init__(message)
        self.status = status
        self.code = code


class UpstreamError(RoutecastError):
    """An upstream endpoint refused or failed.

    Attributes:
        status: The upstream's HTTP status, or None when it never answered.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        """Keep the message beside the upstream's status."""
        super().__init__(message)
        self.status = status


class UpstreamTimeoutError(UpstreamError):
    """An upstream endpoint took longer than the settings allow."""


class UpstreamUnavailableError(UpstreamError):
    """No endpoint may be asked now, since all have failed too often.

    Attributes:
        retry_after_s: Seconds until one may be asked again.
    """

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        """Keep the message beside the time to wait."""
        super().__init__(message)
        self.retry_after_s = retry_after_s
