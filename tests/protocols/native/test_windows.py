from gateway.queues.lane import Lane
from protocols.native.filters import TagFilter
from protocols.native.windows import GroupWindow
from tests.support.native_peer import NativeBroker, Peer


def test_one_message_in_flight_does_not_make_it_remember_all_that_follow(
    broker: NativeBroker, peer: Peer
) -> None:
    """A million may pass while somebody works on the first."""
    peer.publish("T", b"0")
    lane = Lane(broker.virtual_host.queues["T"])
    lane.commit_group_offset("G", 0)
    window = GroupWindow(lane, "G", 0, 10, lambda *_: False)
    window.take(1, TagFilter())
    for number in range(1, 3000):
        peer.publish("T", b"%d" % number)
        (taken,) = window.take(1, TagFilter())
        window.settle([taken.offset])
    assert window.remembered_count < 1100
    assert lane.group_offset("G") == 0
    window.settle([0])
    assert lane.group_offset("G") == 3000
