import gc

import pytest

from protocols.native.session import NativeSession
from rosettamq.remoting.codes import CommandFlag, RequestCode
from rosettamq.remoting.command import HeaderForm, RemotingCommand
from rosettamq.remoting.headers import PopMessageRequest
from tests.support.native_peer import NativeBroker, Peer, bodies, pull_header


def test_an_unknown_code_is_refused_in_javas_words(peer: Peer) -> None:
    response = peer.call(999)
    assert (response.code, response.remark) == (3, " request type 999 not supported")
    assert (response.flag, response.version) == (CommandFlag.RESPONSE, 479)


def test_a_one_way_request_is_never_answered(peer: Peer) -> None:
    for code in (999, RequestCode.GET_MAX_OFFSET):
        peer.send(RemotingCommand(code, {"topic": "T"}, flag=CommandFlag.ONE_WAY))
    assert peer.received() == []


def test_a_response_is_never_answered(peer: Peer) -> None:
    peer.send(RemotingCommand(0, flag=CommandFlag.RESPONSE))
    assert peer.received() == []


def test_the_answer_has_the_form_of_the_request(peer: Peer) -> None:
    peer.send(RemotingCommand(999, form=HeaderForm.BINARY))
    (response,) = peer.received()
    assert response.form is HeaderForm.BINARY


@pytest.mark.parametrize("junk", [b"\x7f\0\0\0\0\0\0\0", b"\0\0\0\x06\0\0\0\2{]"])
def test_what_is_no_frame_closes_this_connection_only(broker: NativeBroker, junk: bytes) -> None:
    bad, good = broker.connect(), broker.connect()
    bad.protocol.dataReceived(junk)
    assert bad.wire.disconnecting
    assert good.call(999).code == 3


def test_a_missing_field_is_the_clients_mistake(peer: Peer) -> None:
    response = peer.call(RequestCode.GET_MAX_OFFSET, {"topic": "T"})
    assert (response.code, response.remark) == (29, "the request lacks the field queueId")


def test_a_silent_client_is_hung_up_on(broker: NativeBroker, peer: Peer) -> None:
    broker.clock.advance(119)
    peer.call(999)
    broker.clock.advance(119)
    assert not peer.wire.disconnecting
    broker.clock.advance(1)
    assert peer.wire.disconnecting


def test_stopping_hangs_up(broker: NativeBroker, peer: Peer) -> None:
    broker.front_end.stop()
    assert peer.wire.disconnecting


def test_a_lost_connection_goes_at_once_whatever_was_going_on(broker: NativeBroker) -> None:
    """With all that its client has sent: the garbage collector comes seldom."""

    def sessions() -> int:
        return sum(isinstance(each, NativeSession) for each in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = sessions()
        peer = broker.connect()
        consumers = [{"groupName": "G", "subscriptionDataSet": [{"topic": "T"}]}]
        heartbeat = {"clientID": "c", "consumerDataSet": consumers}
        peer.request(RequestCode.HEART_BEAT, None, heartbeat)
        peer.received()
        for _ in range(3):
            peer.publish("T", b"x")
        pull, pop = RequestCode.PULL_MESSAGE, RequestCode.POP_MESSAGE
        assert bodies(peer.call(pull, pull_header("T", "T", 0, count=1))) == [b"x"]
        assert bodies(peer.call(pop, PopMessageRequest("G", "T", -1, 32, 60_000))) == [b"x"] * 3
        for group in ("G", "T"):
            peer.request(pull, pull_header(group, "T", 3, suspend_ms=5000))
            peer.request(pop, PopMessageRequest(group, "T", -1, 32, 60_000, 5000))
        peer.protocol.dataReceived(b"\0\0\x10\0")
        assert sessions() == before + 1
        peer.lose()
        del peer
        assert sessions() == before
    finally:
        gc.enable()
