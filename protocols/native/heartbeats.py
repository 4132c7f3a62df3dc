"""Membership: heartbeats, who is in a group, and the locks of ordered consumption."""

from __future__ import annotations

import msgspec

from rosettamq.remoting.codes import ResponseCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import GroupRequest, UnregisterClientRequest

from .bodies import decode_body, encode_body
from .groups import Subscription, retry_topic
from .replies import RequestRefusedError, success
from .sending import check_topic
from .session import NativeSession

_GROUP_SIZE_MAX = 255  # As for queues, whose groups have their names.


class _Subscription(msgspec.Struct, rename="camel"):
    topic: str
    sub_string: str | None = "*"
    sub_version: int = 0
    expression_type: str | None = "TAG"


class _Consumer(msgspec.Struct, rename="camel"):
    group_name: str
    # Java sends names, C++ ordinals.
    message_model: str | int = "CLUSTERING"
    consume_type: str | int = "CONSUME_PASSIVELY"
    subscription_data_set: list[_Subscription] | None = None

    @property
    def is_broadcast(self) -> bool:
        return self.message_model in ("BROADCASTING", 0, "0")

    @property
    def is_popping(self) -> bool:
        return self.consume_type in ("CONSUME_POP", 2, "2")


class _Heartbeat(msgspec.Struct, rename={"client_id": "clientID", "consumers": "consumerDataSet"}):
    client_id: str
    consumers: list[_Consumer] | None = None


class _Queue(msgspec.Struct, rename="camel"):
    topic: str
    queue_id: int
    broker_name: str = ""


class _Locks(msgspec.Struct, rename="camel"):
    consumer_group: str
    client_id: str
    mq_set: list[_Queue] | None = None


class _ClientConfig(msgspec.Struct, rename="camel"):
    subscription_data: _Subscription | None = None


def heart_beat(session: NativeSession, request: RemotingCommand) -> RemotingCommand:
    """HEART_BEAT: join the groups that it names.

    A retry topic that a member subscribes to is there from now on: clients look for new topics only
    every 30 s, and would be so late for the first message that is to come again.
    """
    heartbeat = decode_body(request.body, _Heartbeat)
    _check_groups(session, [consumer.group_name for consumer in heartbeat.consumers or ()])
    for consumer in heartbeat.consumers or ():
        subscriptions = {
            data.topic: Subscription(
                data.sub_string or "*", data.expression_type or "TAG", data.sub_version
            )
            for data in consumer.subscription_data_set or ()
        }
        if (topic := retry_topic(consumer.group_name)) in subscriptions:
            check_topic(session, topic)
            session.broker.topics.virtual_host.topic_queue(topic, create=True)
        session.broker.groups.join(
            consumer.group_name,
            session,
            heartbeat.client_id,
            subscriptions,
            consumer.is_broadcast,
            consumer.is_popping,
        )
    response = success()
    response.ext_fields = {"IS_SUPPORT_HEART_BEAT_V2": "false", "IS_SUB_CHANGE": "true"}
    return response


def _check_groups(session: NativeSession, names: list[str]) -> None:
    """A group is kept in memory, so its name is not of any length, and there is an end to them."""
    for name in names:
        if not 0 < len(name) <= _GROUP_SIZE_MAX:
            raise RequestRefusedError(
                ResponseCode.INVALID_PARAMETER,
                f"the group {name[:_GROUP_SIZE_MAX]!r} is not 1 to {_GROUP_SIZE_MAX} characters",
            )
    groups_max = session.broker.limits.groups_max
    if len({*session.broker.groups.of_member(session), *names}) > groups_max:
        raise RequestRefusedError(
            ResponseCode.SYSTEM_ERROR, f"the client is in {groups_max} groups, which is the limit"
        )


def unregister_client(session: NativeSession, request: RemotingCommand) -> RemotingCommand:
    """UNREGISTER_CLIENT; the C++ client leaves the other group empty."""
    header = UnregisterClientRequest.from_ext(request.ext_fields)
    if header.consumer_group:
        session.leave(header.consumer_group)
    return success()


def check_client_config(session: NativeSession, request: RemotingCommand) -> RemotingCommand:
    """CHECK_CLIENT_CONFIG: a subscription that cannot work must fail here."""
    subscription = decode_body(request.body, _ClientConfig).subscription_data
    if subscription is not None:
        session.broker.message_filter(
            "", subscription.topic, subscription.sub_string or "*", subscription.expression_type
        )
    return success()


def get_consumer_list(session: NativeSession, request: RemotingCommand) -> RemotingCommand:
    """GET_CONSUMER_LIST_BY_GROUP; nobody is an error, upon which clients keep what they have."""
    group = GroupRequest.from_ext(request.ext_fields).consumer_group
    client_ids = session.broker.groups.client_ids(group)
    if not client_ids:
        raise RequestRefusedError(ResponseCode.SYSTEM_ERROR, f"no consumer for this group, {group}")
    return success(body=encode_body({"consumerIdList": client_ids}))


def lock_queues(session: NativeSession, request: RemotingCommand) -> RemotingCommand:
    """LOCK_BATCH_MQ: answer which of the queues the client has now."""
    locks = decode_body(request.body, _Locks)
    now = session.broker.clock.seconds()
    locked = [
        queue
        for queue in locks.mq_set or ()
        if session.broker.locks.lock(
            (locks.consumer_group, queue.topic, queue.queue_id), locks.client_id, now
        )
    ]
    queues = [
        {"topic": queue.topic, "brokerName": queue.broker_name, "queueId": queue.queue_id}
        for queue in locked
    ]
    return success(body=encode_body({"lockOKMQSet": queues}))


def unlock_queues(session: NativeSession, request: RemotingCommand) -> RemotingCommand:
    """UNLOCK_BATCH_MQ."""
    locks = decode_body(request.body, _Locks)
    for queue in locks.mq_set or ():
        key = (locks.consumer_group, queue.topic, queue.queue_id)
        session.broker.locks.unlock(key, locks.client_id)
    return success()
