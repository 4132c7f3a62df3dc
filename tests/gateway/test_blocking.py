from __future__ import annotations

import threading
from queue import SimpleQueue

from twisted.python.failure import Failure

from gateway.blocking import BlockingThread


def test_runs_in_another_thread_and_reports_back_in_order() -> None:
    reported: SimpleQueue[tuple[object, Failure | None]] = SimpleQueue()
    threads: list[threading.Thread] = []

    def fail() -> None:
        raise OSError("disk on fire")

    blocking = BlockingThread(lambda function, *arguments: function(*arguments))
    blocking.start()
    blocking.run(
        lambda: threads.append(threading.current_thread()), lambda f: reported.put(("ran", f))
    )
    blocking.run(fail, lambda failure: reported.put(("failed", failure)))
    blocking.stop()
    assert threads[0] is not threading.current_thread()
    assert reported.get_nowait() == ("ran", None)
    name, failure = reported.get_nowait()
    assert name == "failed"
    assert isinstance(failure, Failure)
    assert failure.check(OSError)
