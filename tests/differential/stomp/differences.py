"""The differences from RabbitMQ's STOMP plugin that we know and mean, as one table.

`docs/protocols/stomp-differences.md` shows it: `python -m tests.differential.stomp.differences`
writes that file, and a test compares.
"""

from __future__ import annotations

from tests.differential.table import DOCUMENTS, Difference, Table

_INTRODUCTION = """# STOMP: where we differ from RabbitMQ's plugin

`make differential` says the same to Debian's RabbitMQ 3.10 with its STOMP plugin and to us: drawn
sequences of frames, wrong ones among them, in all three versions. Every answer with its headers and
their order, every delivery and receipt, every count, and what is left in the queues as AMQP shows
it, must be the same, but for this. Where versions of RabbitMQ differ we follow 4.2.

Made by `python -m tests.differential.stomp.differences` from the table in that module.

| when | what differs, and why | drawn |
|---|---|---|
"""

DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        when="A frame that is refused for another reason than its queue",
        rabbitmq=r"queues: (?P<queue>~\w+): 0 ready, 0 consumers",
        ours=r"queues: (?P<queue>~\w+): missing",
        reason="RabbitMQ before 4.3 has declared the queue of a `/queue/` destination before it"
        " looks at `transaction`, or at the `id` of a SUBSCRIBE. We leave no queue behind.",
        ends=True,
    ),
    Difference(
        when="A SEND whose `transaction` does not exist, and that is wrong in another way, too",
        rabbitmq=r"(?P<s>c\d answers): ERROR .*",
        ours=r"(?P<s>c\d answers): ERROR message='Bad transaction' .*",
        reason="The transaction is looked at first, as in RabbitMQ since 4.3.",
    ),
    Difference(
        when="ACK or NACK after UNSUBSCRIBE",
        rabbitmq=r"(?P<s>c\d answers): ERROR message='Subscription not found' .*",
        ours=r"(?P<s>c\d answers): ",
        reason="What was delivered before can still be settled, as in RabbitMQ 4.3.",
        ends=True,
    ),
    Difference(
        when="A SEND in a transaction to an exchange that does not exist",
        rabbitmq=r"(?P<s>c\d answers): ",
        ours=r"(?P<s>c\d answers): ERROR message='(not_found|access_refused)' .* exchange '.*",
        reason="Is refused when it arrives, not at COMMIT: a transaction that was taken in is"
        " carried out as a whole, unless something was deleted meanwhile.",
        ends=True,
    ),
    Difference(
        when="SUBSCRIBE to `/exchange/...`",
        rabbitmq=r"queues: (?P<queue>~\w+): \d+ ready, \d+ consumers",
        ours=r"queues: (?P<queue>~\w+): locked",
        reason="The queue of such a subscription is exclusive, as in RabbitMQ 4.",
        ends=True,
    ),
    Difference(
        when="ACK or NACK with a value that another connection was given",
        rabbitmq=r"(?P<s>c\d answers): ERROR message='Subscription not found' .*",
        ours=r"(?P<s>c\d answers): ERROR message='Invalid header' .*",
        reason="As in RabbitMQ 4.3; before, the value may mean another delivery here.",
    ),
    Difference(
        when="CONNECT with a virtual host that does not exist, and a wrong passcode",
        rabbitmq=r"(?P<s>c\d answers): ERROR message='Bad CONNECT' .* access denied\"",
        ours=r"(?P<s>c\d answers): ERROR message='Bad CONNECT' .* \"Access refused for user .*",
        reason="We look at the passcode first, as RabbitMQ 4 does: who cannot log in learns nothing"
        " about virtual hosts.",
    ),
    Difference(
        when="CONNECT with a wrong passcode",
        rabbitmq=r"(?P<s>c\d answers: ERROR .* \"Access refused for user '.*')\\n\"",
        ours=r"(?P<s>c\d answers: ERROR .* \"Access refused for user '.*')\"",
        reason="The text ends in a line break; not since RabbitMQ 4.",
    ),
    Difference(
        when="A frame of more than 4 MiB",
        reason="The connection ends, as in RabbitMQ 4; 3.10 knows no limit.",
    ),
    Difference(
        when="A subscription whose `id` has `@@` in it",
        reason="RabbitMQ cannot read the ACKs of its own messages then; we can.",
    ),
    Difference(
        when="A negative `priority`",
        reason="`Processing error`. RabbitMQ takes it, and then fails to write the message down.",
    ),
    Difference(
        when="The headers of a MESSAGE that come from its SEND",
        reason="Their order: RabbitMQ turns that of the SEND round, and has none since 4.3. We keep"
        " it, but for properties, which come last. An AMQP consumer is given an empty table of"
        " headers by RabbitMQ where we give none.",
    ),
    Difference(
        when="RECEIPTs of SENDs",
        reason="Ours come in the order of the SENDs; RabbitMQ's in that of its confirms, and those"
        " that DISCONNECT overtakes never.",
    ),
    Difference(
        when="Permissions, TTL, dead letters, length limits, priorities and streams; what an"
        " acknowledgement of several subscriptions covers whose deliveries overtook one another",
        reason="Not compared here: tests/protocols/stomp says what is expected of us.",
    ),
)

TABLE = Table(DOCUMENTS / "stomp-differences.md", _INTRODUCTION, DIFFERENCES)


if __name__ == "__main__":
    TABLE.document.write_text(TABLE.render())
