"""Offsets: the group's committed one, and the queue's first, last, and by time."""

from __future__ import annotations

from rosettamq.remoting.codes import ResponseCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import (
    ConsumerOffsetRequest,
    OffsetResponse,
    QueueRequest,
    SearchOffsetRequest,
    UpdateConsumerOffsetRequest,
)

from .replies import RequestRefusedError, success
from .session import NativeSession


def query_consumer_offset(session: NativeSession, request: RemotingCommand) -> RemotingCommand:
    """QUERY_CONSUMER_OFFSET.

    Not found makes the client choose where it starts; but a queue that still has its first message
    is young, and there a new group starts at 0, as in RocketMQ.
    """
    header = ConsumerOffsetRequest.from_ext(request.ext_fields)
    lane = session.broker.topics.find_lane(header.topic, header.queue_id)
    if lane.queue.is_own_group(header.consumer_group):
        # What is ready is the queue's to know; any number will do.
        return success(OffsetResponse(lane.min_offset))
    offset = lane.group_offset(header.consumer_group)
    if offset is None and header.set_zero_if_not_found and lane.min_offset <= 0:
        offset = 0
    if offset is None:
        raise RequestRefusedError(
            ResponseCode.QUERY_NOT_FOUND, "Not found, maybe this group consumer boot first"
        )
    return success(OffsetResponse(offset))


def update_consumer_offset(session: NativeSession, request: RemotingCommand) -> RemotingCommand:
    """UPDATE_CONSUMER_OFFSET; ali-ons sends -1 for queues that it has not touched."""
    header = UpdateConsumerOffsetRequest.from_ext(request.ext_fields)
    lane = session.broker.topics.find_lane(header.topic, header.queue_id)
    if header.commit_offset >= 0:
        if lane.queue.is_own_group(header.consumer_group):
            session.broker.own_pulls.settle_below(session, lane, header.commit_offset)
        else:
            session.broker.positions.commit(lane, header.consumer_group, header.commit_offset)
    return success()


def get_max_offset(session: NativeSession, request: RemotingCommand) -> RemotingCommand:
    """GET_MAX_OFFSET: what the next message will get."""
    header = QueueRequest.from_ext(request.ext_fields)
    lane = session.broker.topics.find_lane(header.topic, header.queue_id)
    return success(OffsetResponse(lane.max_offset))


def get_min_offset(session: NativeSession, request: RemotingCommand) -> RemotingCommand:
    """GET_MIN_OFFSET: the first that can still be read."""
    header = QueueRequest.from_ext(request.ext_fields)
    lane = session.broker.topics.find_lane(header.topic, header.queue_id)
    return success(OffsetResponse(lane.min_offset))


def search_offset(session: NativeSession, request: RemotingCommand) -> RemotingCommand:
    """SEARCH_OFFSET_BY_TIMESTAMP: the first stored at that time or after.

    With the boundary `upper`, the last at that time or before; the first of all if there is none.
    """
    header = SearchOffsetRequest.from_ext(request.ext_fields)
    lane = session.broker.topics.find_lane(header.topic, header.queue_id)
    if (header.boundary_type or "").lower() == "upper":
        after = lane.search_timestamp(header.timestamp + 1)
        return success(OffsetResponse(max(lane.min_offset, after - 1)))
    return success(OffsetResponse(lane.search_timestamp(header.timestamp)))
