"""Answers in time from something that may never answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future


class InTime[Answer]:
    """Runs a function in a thread, one at a time; whoever asks waits no longer than `deadline` seconds.

    While the thread is stuck, no second one is started.
    """

    def __init__(self, function: Callable[[], Answer], deadline: float) -> None:
        self._function = function
        self._deadline = deadline
        self._lock = threading.Lock()
        self._under_way: Future[Answer] | None = None

    def __call__(self) -> Answer:
        """What the function returns or raises, or TimeoutError."""
        with self._lock:
            if self._under_way is None or self._under_way.done():
                self._under_way = Future()
                threading.Thread(target=self._run, args=(self._under_way,), daemon=True).start()
            under_way = self._under_way
        return under_way.result(self._deadline)

    def _run(self, future: Future[Answer]) -> None:
        try:
            future.set_result(self._function())
        except BaseException as error:  # noqa: BLE001 - raised where it was asked for
            future.set_exception(error)
