"""The differences from RabbitMQ 3.10 that we know and mean, as one table.

`docs/protocols/amqp-differences.md` shows it: `python -m tests.differential.differences` writes
that file, and a test compares.
"""

from __future__ import annotations

from tests.differential.table import DOCUMENTS, Difference, Table

_INTRODUCTION = """# AMQP 0-9-1: where we differ from RabbitMQ

`make differential` says the same to Debian's RabbitMQ 3.10 and to us: drawn sequences of
operations, wrong ones among them. Every reply, close code and text, delivery, return, confirm and
count must be the same, but for this. Where versions of RabbitMQ differ we follow 4.2.

Made by `python -m tests.differential.differences` from the table in that module.

| when | what differs, and why | drawn |
|---|---|---|
"""


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        when="exchange.declare with a type that does not exist",
        rabbitmq=r"(?P<s>c\d replies): 0 connection.close code=503 text=COMMAND_INVALID - "
        r"(unknown|invalid) exchange type '(?P<type>.*)' class_id=40 method_id=10",
        ours=r"(?P<s>c\d replies): \d channel.close code=406 text=PRECONDITION_FAILED - "
        r"unknown exchange type '(?P<type>.*)' class_id=40 method_id=10",
        reason="RabbitMQ closes only the channel since 3.13. It says `invalid` instead of `unknown`"
        " where the name happens to be an Erlang atom that it knows.",
        ends=True,
    ),
    Difference(
        when="What a user has no permission for",
        rabbitmq=r"(?P<start>c\d replies: \d channel.close code=403 text=ACCESS_REFUSED - )"
        r"(?P<rest>access to .*)",
        ours=r"(?P<start>c\d replies: \d channel.close code=403 text=ACCESS_REFUSED - )"
        r"(configure|write|read) (?P<rest>access to .*)",
        reason="RabbitMQ says since 3.12 which one: `configure`, `write` or `read`.",
    ),
    Difference(
        when="basic.publish that is wrong in several ways",
        rabbitmq=r"(?P<s>c\d replies: \d channel.close code=)(406 text=PRECONDITION_FAILED -"
        r" user_id property .*|403 text=ACCESS_REFUSED - (write )?access to topic .*)",
        ours=r"(?P<s>c\d replies: \d channel.close code=)406 text=PRECONDITION_FAILED - invalid"
        r" (expiration|message).*",
        reason="RabbitMQ looks at `expiration`, `CC` and `BCC` before topic permissions and"
        " `user_id` since 3.13.",
    ),
    Difference(
        when="basic.publish with a delivery mode other than 1 and 2",
        rabbitmq=r"(?P<s>c\d replies): \d channel.close code=406 text=PRECONDITION_FAILED - "
        r"invalid message: {delivery_mode_unknown,\d+} class_id=60 method_id=40",
        ours=r"(?P<s>c\d replies): .*",
        reason="RabbitMQ accepts it since 4.0, as transient, and so do we.",
        ends=True,
    ),
    Difference(
        when="basic.deliver, basic.return or basic.get-ok from a client",
        rabbitmq=r"(?P<s>c\d replies): 0 connection.close code=505 text=UNEXPECTED_FRAME -"
        r" expected "
        r"content header for class 60, got non content header frame instead class_id=60 "
        r"method_id=60",
        ours=r"(?P<s>c\d replies): 0 connection.close code=503 text=COMMAND_INVALID -"
        r" unimplemented "
        r"method class_id=60 method_id=60",
        reason="RabbitMQ waits for the content before it refuses the method. No client sends"
        " these.",
        ends=True,
    ),
    Difference(
        when="A method that does not exist",
        rabbitmq=r"(?P<s>c\d replies): 0 closed ",
        ours=r"(?P<s>c\d replies): 0 connection.close code=503 text=COMMAND_INVALID - "
        r"unimplemented method class_id=\d+ method_id=\d+",
        reason="RabbitMQ hangs up without a word.",
        ends=True,
    ),
    Difference(
        when="A frame with a wrong end octet",
        rabbitmq=r"(?P<start>.*{invalid_frame_end_marker,)\s+(?P<rest>\d+} .*)",
        ours=r"(?P<start>.*{invalid_frame_end_marker,)(?P<rest>\d+} .*)",
        reason="RabbitMQ breaks the lines of the text where they become long.",
        ends=True,
    ),
    Difference(
        when="A binding to another connection's exclusive queue that is wrong in another way, too",
        rabbitmq=r"(?P<s>c\d replies: \d channel.close code=)406 text=PRECONDITION_FAILED - "
        r"(The binding key must|Invalid x-match).* class_id=50 method_id=20",
        ours=r"(?P<s>c\d replies: \d channel.close code=)405 text=RESOURCE_LOCKED - .*",
        reason="We say first that it is locked (405).",
    ),
    Difference(
        when="A binding of an `x-jms-topic` exchange without a selector that can be read",
        rabbitmq=r"(?P<s>c\d replies): 0 connection.close code=541 text=INTERNAL_ERROR .*",
        ours=r"(?P<s>c\d replies): \d channel.close code=406 text=PRECONDITION_FAILED - cannot "
        r"parse selector .*",
        reason="RabbitMQ's connection breaks off (541).",
        ends=True,
    ),
    Difference(
        when="An `x-recent-history` exchange with a history is bound to one that leads nowhere",
        rabbitmq=r"(?P<s>c\d replies): 0 connection.close code=541 text=INTERNAL_ERROR .*",
        ours=r"(?P<s>c\d replies): (\d exchange.bind-ok )?",
        reason="RabbitMQ's connection breaks off (541).",
        ends=True,
    ),
    Difference(
        when="connection.start and connection.tune",
        reason="We call ourselves RabbitMQ 4.2 and have its capabilities;"
        " cluster name, platform and information are our own. A `frame_max` from 4096 on is"
        " accepted"
        " as in 3.10; RabbitMQ asks for 8192 since 4.1.",
    ),
    Difference(
        when="A connection that goes wrong while it is tuned",
        reason="RabbitMQ 3.10 hangs up after three seconds, without a word. We say why, as 4.1 does"
        " of a `frame_max` that is too small.",
    ),
    Difference(
        when="A message larger than 16 MiB",
        reason="RabbitMQ's limit is 16 MiB since 4.0 (before: 128 MiB). We refuse when the content"
        " header says so, RabbitMQ when all of the body is there.",
    ),
    Difference(
        when="More body than the content header announced",
        reason="We close the connection with 501; RabbitMQ waits for a body that can never be"
        " complete.",
    ),
    Difference(
        when="A method between channel.close and its answer",
        reason="RabbitMQ ignores it, or closes the connection with 504: whichever of its"
        " processes is"
        " faster. We always do the latter.",
    ),
    Difference(
        when="Deliveries set off by a write that ends in a channel error",
        reason="RabbitMQ's queues may have delivered before the error is noticed. We deliver"
        " at the end"
        " of a turn, so what came in one read with the error was not delivered.",
    ),
    Difference(
        when="Deliveries to a connection that ends",
        reason="RabbitMQ ends its channels one after the other: what one gives back may go to the"
        " next, which ends as well. We end all of them at once.",
    ),
    Difference(
        when="Many large messages at once, and several consumers",
        reason="RabbitMQ delivers in turn. We pass over a consumer whose connection has not taken"
        " in what it was sent before.",
    ),
    Difference(
        when="Messages of several priorities in one write, and a consumer that waits",
        reason="RabbitMQ may deliver the first before it has read the rest. We read all of it, and"
        " deliver the most urgent first.",
    ),
    Difference(
        when="A quorum queue is declared again, without its type",
        rabbitmq=r"(?P<start>c\d replies: \d channel.close code=406 text=PRECONDITION_FAILED - "
        r"inequivalent arg 'x-queue-type' .*: received )none but current is the value 'quorum' of "
        r"type 'longstr'(?P<end> .*)",
        ours=r"(?P<start>c\d replies: \d channel.close code=406 text=PRECONDITION_FAILED - "
        r"inequivalent arg 'x-queue-type' .*: received )'classic' but current is 'quorum'"
        r"(?P<end> .*)",
        reason="RabbitMQ 4.2 takes the type that the virtual host gives for what was asked for.",
    ),
    Difference(
        when="A queue without a type is declared again, as a quorum queue",
        rabbitmq=r"(?P<start>c\d replies: \d channel.close code=406 text=PRECONDITION_FAILED - "
        r"inequivalent arg 'x-queue-type' .*: received )the value 'quorum' of type 'longstr' but"
        r" current is none(?P<end> .*)",
        ours=r"(?P<start>c\d replies: \d channel.close code=406 text=PRECONDITION_FAILED - "
        r"inequivalent arg 'x-queue-type' .*: received )'quorum' but current is 'classic'"
        r"(?P<end> .*)",
        reason="The same.",
    ),
    Difference(
        when="The arguments of a queue that was declared without a type, over HTTP and in exports",
        reason="RabbitMQ adds the type that the virtual host gives to them since 4.0, and we show"
        " it: `x-queue-type` is there in the arguments of every queue.",
    ),
    Difference(
        when="The consumers of a quorum queue, while what basic.get took is not acknowledged",
        reason="RabbitMQ counts one for that.",
    ),
    Difference(
        when="basic.get of what a quorum queue never delivered before",
        reason="`x-delivery-count` is not there; it is 0 in RabbitMQ 3.10.",
    ),
    Difference(
        when="What returns to a quorum queue without a delivery limit; its priorities, and what is"
        " above its limits with `reject-publish`; which of its consumers is the active one",
        reason="Versions differ, or do it later: see [quorum queues](amqp.md#quorum-queues).",
    ),
    Difference(
        when="The tag of a consumer of direct replies is used again by another consumer",
        reason="RabbitMQ does not notice, and then cancels either of them. We refuse it (530), as"
        " any tag that is in use.",
    ),
    Difference(
        when="Several destinations of an `x-random` or `x-consistent-hash` exchange",
        reason="Which one it is is chance, or a hash of RabbitMQ's own. Which messages stay"
        " together is compared case by case (`tests/differential/test_hashing.py`).",
    ),
    Difference(
        when="Permissions that change",
        reason="RabbitMQ's channels remember what they checked before; ours heed it at once. The"
        " user's connection ends with each change that is drawn.",
    ),
    Difference(
        when="A policy with a limit and `overflow` = `reject-publish` begins to hold",
        reason="RabbitMQ looks at the limit before it looks at `overflow`, and drops what is above"
        " it. We drop nothing that is there.",
    ),
    Difference(
        when="A policy with `overflow` holds no more",
        reason="RabbitMQ's classic queues go on as it said. Ours do what is the default again.",
    ),
    Difference(
        when="Stream queues, delayed messages",
        reason="Not drawn. Streams are compared case by case"
        " (`tests/differential/test_streams.py`).",
    ),
    Difference(
        when="A dead letter's headers",
        reason="`x-last-death-*` is there since RabbitMQ 3.13. They may come in another order, as"
        " do those of quorum queues' deliveries.",
    ),
    Difference(
        when="A global prefetch, and on the same queue a no-ack consumer beside another one",
        reason="With the prefetch used up RabbitMQ delivers to neither; we go on with the no-ack"
        " consumer, which prefetch is not about.",
    ),
)


TABLE = Table(DOCUMENTS / "amqp-differences.md", _INTRODUCTION, DIFFERENCES)


if __name__ == "__main__":
    TABLE.document.write_text(TABLE.render())
