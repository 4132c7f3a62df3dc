from rosettamq.progress import QueueProgress


def test_the_commit_waits_for_the_lowest() -> None:
    progress = QueueProgress(5)
    assert progress.commit_offset == 5
    for offset in (5, 6, 8):
        progress.begin(offset, 10)
    progress.finish(6)
    assert (progress.commit_offset, progress.unfinished_count) == (5, 2)
    progress.finish(5)
    assert progress.commit_offset == 8
    progress.finish(8)
    assert progress.commit_offset == 9
    progress.begin(5, 10)  # A queue's own group may get back what another member released.
    assert progress.commit_offset == 5
    progress.reset(2)
    assert progress.commit_offset == 2


def test_an_offset_is_committed_once() -> None:
    progress = QueueProgress(0)
    assert [progress.take_commit(), progress.take_commit()] == [0, None]
    progress.begin(0, 10)
    assert progress.take_commit() is None
    progress.finish(0)
    assert [progress.take_commit(), progress.take_commit()] == [1, None]
    progress.commit_failed()
    assert progress.take_commit() == 1


def test_and_again_after_what_lies_below_it() -> None:
    """Its commit is what tells the broker that the message that came back is done."""
    progress = QueueProgress(0)
    for offset in range(3):
        progress.begin(offset, 10)
        progress.finish(offset)
    assert progress.take_commit() == 3
    progress.begin(1, 10)
    progress.finish(1)
    assert progress.take_commit() == 3


def test_what_is_unfinished_has_a_size() -> None:
    progress = QueueProgress(0)
    for offset, size in ((0, 10), (1, 20), (1, 30)):
        progress.begin(offset, size)
    assert (progress.unfinished_count, progress.unfinished_size) == (2, 40)
    progress.finish(0)
    progress.finish(0)
    assert progress.unfinished_size == 30
    progress.reset(7)
    assert progress.unfinished_size == 0
