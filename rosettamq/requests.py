"""Which requests a client makes and what their answers mean; no socket, no time, no threads.

Those about messages are in `sending` and `receiving`; here are the rest: routes, groups, offsets.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from rosettamq.errors import ProtocolError, ResponseError
from rosettamq.message import MessageQueue, ReceivedMessage
from rosettamq.remoting.codes import RequestCode, ResponseCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import (
    ConsumerOffsetRequest,
    GroupRequest,
    OffsetResponse,
    QueueRequest,
    SendBackRequest,
    TopicRequest,
    UnregisterClientRequest,
    UpdateConsumerOffsetRequest,
)
from rosettamq.remoting.ids import decode_offset_message_id
from rosettamq.subscriptions import Subscription


def check(response: RemotingCommand) -> RemotingCommand:
    """Return a response that says success; raises `ResponseError` for another."""
    if response.code != ResponseCode.SUCCESS:
        raise ResponseError(response.code, response.remark or "")
    return response


def route_request(topic: str) -> RemotingCommand:
    """Ask a name server where a topic is."""
    return RemotingCommand(RequestCode.GET_ROUTEINFO_BY_TOPIC, TopicRequest(topic).to_ext())


def _subscription_data(subscription: Subscription, version: int) -> dict[str, object]:
    return {
        "topic": subscription.topic,
        "subString": subscription.expression,
        "tagsSet": sorted(subscription.tags or ()),
        "codeSet": [],
        "subVersion": version,
        "expressionType": subscription.expression_type,
        "classFilterMode": False,
    }


def check_subscription_request(
    client_id: str, group: str, subscription: Subscription
) -> RemotingCommand:
    """Ask whether the broker understands a subscription."""
    body = {
        "clientId": client_id,
        "group": group,
        "namespace": "",
        "subscriptionData": _subscription_data(subscription, 0),
    }
    return RemotingCommand(RequestCode.CHECK_CLIENT_CONFIG, body=json.dumps(body).encode())


def heartbeat_request(
    client_id: str,
    producer_groups: Iterable[str] = (),
    consumer_group: str | None = None,
    subscriptions: Iterable[Subscription] = (),
    is_pop: bool = False,
    version: int = 0,
) -> RemotingCommand:
    """Say who is there and what it wants."""
    consumers = []
    if consumer_group is not None:
        consumers.append(
            {
                "groupName": consumer_group,
                "consumeType": "CONSUME_POP" if is_pop else "CONSUME_PASSIVELY",
                "messageModel": "CLUSTERING",
                "consumeFromWhere": "CONSUME_FROM_LAST_OFFSET",
                "unitMode": False,
                "subscriptionDataSet": [
                    _subscription_data(subscription, version) for subscription in subscriptions
                ],
            }
        )
    body = {
        "clientID": client_id,
        "producerDataSet": [{"groupName": group} for group in producer_groups],
        "consumerDataSet": consumers,
    }
    return RemotingCommand(RequestCode.HEART_BEAT, body=json.dumps(body).encode())


def unregister_request(
    client_id: str, producer_group: str | None, consumer_group: str | None
) -> RemotingCommand:
    """Say goodbye."""
    ext = UnregisterClientRequest(producer_group, consumer_group).to_ext()
    return RemotingCommand(RequestCode.UNREGISTER_CLIENT, ext | {"clientID": client_id})


def consumer_list_request(group: str) -> RemotingCommand:
    """Ask who is in a group."""
    return RemotingCommand(RequestCode.GET_CONSUMER_LIST_BY_GROUP, GroupRequest(group).to_ext())


def consumer_list(response: RemotingCommand) -> list[str]:
    """Read the answer; raises `ResponseError`, also for a group without members."""
    try:
        document = json.loads(check(response).body)
        return [str(client_id) for client_id in document["consumerIdList"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ProtocolError("the broker's answer is no list of consumers") from error


def query_offset_request(group: str, queue: MessageQueue) -> RemotingCommand:
    """Ask what a group has committed."""
    header = ConsumerOffsetRequest(group, queue.topic, queue.queue_id)
    return RemotingCommand(RequestCode.QUERY_CONSUMER_OFFSET, header.to_ext())


def committed_offset(response: RemotingCommand) -> int | None:
    """Read the answer; None if the group never committed."""
    if response.code == ResponseCode.QUERY_NOT_FOUND:
        return None
    return offset(response)


def update_offset_request(group: str, queue: MessageQueue, commit_offset: int) -> RemotingCommand:
    """Commit an offset."""
    header = UpdateConsumerOffsetRequest(group, queue.topic, queue.queue_id, commit_offset)
    return RemotingCommand(RequestCode.UPDATE_CONSUMER_OFFSET, header.to_ext())


def edge_offset_request(queue: MessageQueue, at_end: bool) -> RemotingCommand:
    """Ask for the first offset of a queue, or the one that its next message gets."""
    code = RequestCode.GET_MAX_OFFSET if at_end else RequestCode.GET_MIN_OFFSET
    return RemotingCommand(code, QueueRequest(queue.topic, queue.queue_id).to_ext())


def send_back_request(group: str, message: ReceivedMessage, attempts: int) -> RemotingCommand:
    """Have a message come again later, or die if it was tried so often; raises `ProtocolError`."""
    _, log_offset = decode_offset_message_id(message.offset_message_id)
    header = SendBackRequest(
        log_offset, group, 0, message.message_id, message.topic, max(0, attempts - 1)
    )
    return RemotingCommand(RequestCode.CONSUMER_SEND_MSG_BACK, header.to_ext())


def offset(response: RemotingCommand) -> int:
    """Read the answer to a question after an offset; raises `ResponseError`."""
    return OffsetResponse.from_ext(check(response).ext_fields).offset
