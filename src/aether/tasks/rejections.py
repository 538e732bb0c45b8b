"""Why a task is not created (tasks 3.2)."""

from __future__ import annotations

from aether.errors import AetherError, Code

__all__ = ["Rejected", "impossible"]


class Rejected(AetherError):
    """A task that is not created.

    :ivar detail: what the response says beyond the error; the same where it is empty.
    """

    def __init__(
        self, code: str, message: str, *, detail: str = "", response_first: bool = False, retryable: bool = False
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.detail = detail
        self.response_first = response_first
        self.retryable = retryable


def impossible(detail: str) -> Rejected:
    """All causes have one text on the error, and their own on the response (tasks 3.2, step 8)."""
    return Rejected(Code.TASK_CREATE_FAILED, "failed to create task", detail=detail)
