"""Asking a server that may be anything: an answer, or one of two errors in words.

`server.py` asks everything through here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .client import PromptRejected, requests
from .jobs import ServerGone


class Refused(RuntimeError):
    """An answer of 4xx to an upload or a download."""


def asked(question: Callable, *arguments: Any) -> Any:
    """An answer, or the reason why there is none.

    Raises:
        ServerGone: nobody answers, or not as a ComfyUI does.
        Refused: the server does not want this (a file too large, a picture that is gone).
    """
    try:
        return question(*arguments)
    except requests.HTTPError as error:
        answer = error.response
        if answer is not None and 400 <= answer.status_code < 500 and question.__name__ in ("upload_bytes", "view"):
            raise Refused(f"{answer.status_code} {answer.reason}") from None
        raise ServerGone(f"it answered {answer.status_code if answer is not None else error}") from None
    except requests.JSONDecodeError:
        raise ServerGone("it does not answer in JSON: is there a ComfyUI behind this address?") from None
    except requests.ConnectionError as error:
        raise ServerGone(f"nobody answers there ({_reason(error)})") from None
    except requests.RequestException as error:
        raise ServerGone(f"no answer ({_reason(error)})") from None
    except PromptRejected:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ServerGone(f"it does not answer as a ComfyUI does ({type(error).__name__}: {error})") from None


def _reason(error: BaseException) -> str:
    """The words at the bottom of requests' and urllib3's nested errors."""
    reason: Any = error
    while True:
        inner = getattr(reason, "reason", None) or next(
            (part for part in getattr(reason, "args", ()) if isinstance(part, BaseException)), None
        )
        if not isinstance(inner, BaseException):
            return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        reason = inner
