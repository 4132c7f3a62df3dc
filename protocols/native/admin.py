"""What tools ask of a broker; the least that they need to see that one is there."""

from __future__ import annotations

from rosettamq.remoting.codes import VERSION
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import TopicRequest

from .bodies import encode_body
from .broker import BROKER_NAME, CLUSTER_NAME
from .replies import success
from .sending import check_topic
from .session import NativeSession


def create_topic(session: NativeSession, request: RemotingCommand) -> RemotingCommand | None:
    """UPDATE_AND_CREATE_TOPIC: a durable queue, unless there is one, or an exchange, by that name.

    How many queues and what permission it asks for is ignored: without priorities there is one.
    """
    topic = TopicRequest.from_ext(request.ext_fields).topic
    check_topic(session, topic)
    session.broker.topics.create(topic)
    session.broker.gateway.broker.when_durable(lambda: session.answer(request, success()))
    return None


def get_broker_runtime_info(session: NativeSession, request: RemotingCommand) -> RemotingCommand:
    """GET_BROKER_RUNTIME_INFO: a table of text by name."""
    gateway = session.broker.gateway
    queues = gateway.default_virtual_host.queues.values()
    table = {
        "brokerVersionDesc": f"RosettaMQ {gateway.product_version}",
        "brokerVersion": str(VERSION),
        "msgPutTotalTodayNow": str(sum(queue.light.appended_count for queue in queues)),
        "commitLogMaxOffset": str(gateway.broker.log_end),
    }
    return success(body=encode_body({"table": table}))


def get_broker_config(session: NativeSession, request: RemotingCommand) -> RemotingCommand:
    """GET_BROKER_CONFIG: Java properties."""
    host, port = session.store_host
    lines = (
        f"brokerName={BROKER_NAME}",
        f"brokerClusterName={CLUSTER_NAME}",
        "brokerId=0",
        f"brokerIP1={host}",
        f"listenPort={port}",
        "autoCreateTopicEnable=true",
        "enablePropertyFilter=true",
    )
    response = success(body=("\n".join(lines) + "\n").encode())
    response.ext_fields = {"version": '{"counter":1,"stateVersion":0,"timestamp":0}'}
    return response
