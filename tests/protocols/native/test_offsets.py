from rosettamq.remoting.codes import RequestCode
from rosettamq.remoting.headers import PopMessageRequest
from tests.support.native_peer import NativeBroker, Peer, bodies

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


def test_the_last_at_a_time_or_before(broker: NativeBroker, peer: Peer) -> None:
    for _ in range(3):
        peer.publish("T", b"x")
        broker.clock.advance(10)

    def search(time_s: int, boundary: str) -> str | None:
        stamp = str((1_700_000_000 + time_s) * 1000)
        code = RequestCode.SEARCH_OFFSET_BY_TIMESTAMP
        return ask(peer, code, timestamp=stamp, boundaryType=boundary)[1]

    assert [search(time_s, "upper") for time_s in (-1, 0, 5, 10, 99)] == ["0", "0", "0", "1", "2"]
    assert [search(time_s, "lower") for time_s in (-1, 0, 5, 10, 99)] == ["0", "0", "1", "1", "3"]


def test_pops_go_on_at_the_end_if_the_committed_offset_lies_beyond_it(peer: Peer) -> None:
    peer.publish("T", b"0")
    ask(peer, RequestCode.UPDATE_CONSUMER_OFFSET, consumerGroup="G", commitOffset="100")
    pop = PopMessageRequest("G", "T", -1, 32, 60_000)
    assert peer.call(RequestCode.POP_MESSAGE, pop).code == 210
    peer.publish("T", b"1")
    assert bodies(peer.call(RequestCode.POP_MESSAGE, pop)) == [b"1"]
