from __future__ import annotations

import threading
from queue import SimpleQueue

from gateway.service.blocking import BlockingThread


def test_runs_in_another_thread_and_reports_back_in_order() -> None:
    reported: SimpleQueue[tuple[object, BaseException | None]] = SimpleQueue()
    threads: list[threading.Thread] = []

    def fail() -> None:
        raise OSError("disk on fire")

    blocking = BlockingThread(lambda function, *arguments: function(*arguments))
    blocking.start()
    blocking.run(
        lambda: threads.append(threading.current_thread()),
        lambda error: reported.put(("ran", error)),
    )
    blocking.run(fail, lambda error: reported.put(("failed", error)))
    blocking.stop()
    assert threads[0] is not threading.current_thread()
    assert reported.get_nowait() == ("ran", None)
    name, error = reported.get_nowait()
    assert name == "failed"
    assert isinstance(error, OSError)
