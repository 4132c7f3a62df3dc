from protocols.native.groups import LOCK_LIFETIME_S, QueueLocks


def test_locks_that_have_ended_are_forgotten() -> None:
    """Nobody unlocks what a client locked that is gone, and names are anybody's."""
    locks = QueueLocks()
    for number in range(10):
        assert locks.lock(("G", f"T{number}", 0), "c", number * (LOCK_LIFETIME_S - 1))
    assert len(locks) == 2


def test_a_lock_that_is_renewed_lasts_longer_than_others() -> None:
    locks = QueueLocks()
    for topic in ("T", "U"):
        locks.lock(("G", topic, 0), "c", 0)
    locks.lock(("G", "T", 0), "c", 50)
    assert locks.lock(("G", "U", 0), "d", 60)
    assert not locks.lock(("G", "T", 0), "d", 109)
    assert locks.lock(("G", "T", 0), "d", 110)
