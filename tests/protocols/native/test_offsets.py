from rosettamq.remoting.codes import RequestCode
from tests.support.native_peer import NativeBroker, Peer

QUEUE = {"topic": "T", "queueId": "0"}


def ask(peer: Peer, code: int, **ext: str) -> tuple[int, str | None]:
    response = peer.call(code, QUEUE | ext)
    return response.code, response.ext_fields.get("offset")


def test_first_last_and_by_time(broker: NativeBroker, peer: Peer) -> None:
    for _ in range(3):
        peer.publish("T", b"x")
        broker.clock.advance(10)
    assert ask(peer, RequestCode.GET_MIN_OFFSET) == (0, "0")
    assert ask(peer, RequestCode.GET_MAX_OFFSET) == (0, "3")
    stamp = "1700000005000"
    assert ask(peer, RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, timestamp=stamp) == (0, "1")


def test_a_young_queue_is_read_from_its_first_message(peer: Peer) -> None:
    peer.publish("T", b"x")
    query = RequestCode.QUERY_CONSUMER_OFFSET
    assert ask(peer, query, consumerGroup="G") == (0, "0")
    assert ask(peer, query, consumerGroup="G", setZeroIfNotFound="false") == (22, None)


def test_an_old_queue_lets_the_client_choose(broker: NativeBroker, peer: Peer) -> None:
    peer.publish("T", b"0")
    peer.publish("T", b"1")
    queue = broker.virtual_host.queues["T"]
    queue.take(1)
    queue.settle(0, 1)
    query = RequestCode.QUERY_CONSUMER_OFFSET
    assert ask(peer, query, consumerGroup="G") == (22, None)
    assert ask(peer, query, consumerGroup="T") == (0, "1")


def test_commits_are_remembered_and_may_go_back(peer: Peer) -> None:
    peer.publish("T", b"x")
    commit, query = RequestCode.UPDATE_CONSUMER_OFFSET, RequestCode.QUERY_CONSUMER_OFFSET
    for offset in ("1", "0"):
        assert ask(peer, commit, consumerGroup="G", commitOffset=offset)[0] == 0
        assert ask(peer, query, consumerGroup="G") == (0, offset)


def test_a_negative_commit_means_none(peer: Peer) -> None:
    peer.publish("T", b"x")
    commit, query = RequestCode.UPDATE_CONSUMER_OFFSET, RequestCode.QUERY_CONSUMER_OFFSET
    ask(peer, commit, consumerGroup="G", commitOffset="1")
    assert ask(peer, commit, consumerGroup="G", commitOffset="-1")[0] == 0
    assert ask(peer, query, consumerGroup="G") == (0, "1")


def test_an_unknown_topic_or_queue(peer: Peer) -> None:
    assert ask(peer, RequestCode.GET_MAX_OFFSET)[0] == 17
    peer.publish("T", b"x")
    assert ask(peer, RequestCode.GET_MAX_OFFSET, queueId="1")[0] == 29
