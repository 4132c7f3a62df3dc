"""What the programs do: the columns of the matrix, and what must be seen in each."""

from __future__ import annotations

# A program has those that its library can express, under these names.
SCENARIOS = {
    "refused login": "a wrong password is answered by 403, and the text says so",
    "exchange types": "direct, fanout, topic and headers: declared, bound, and routing",
    "confirms": "1,000 persistent messages, each confirmed",
    "mandatory return": "a message for nobody comes back: 312 NO_ROUTE",
    "prefetch": "10 of 50 come, the others as these are acknowledged",
    "requeue": "a message given back comes again, marked as redelivered",
    "dead letters": "a rejected message is in the dead letter queue, with x-death",
    "header types": "all field types that the library knows, there and back",
    "transactions": "rolled back: gone; not committed: not there yet; committed: there",
    "direct reply-to": "a call over amq.rabbitmq.reply-to",
    "cancel notification": "a consumer hears that its queue was deleted",
    "missing queue": "404 for a passive declare closes that channel, no other",
    "large message": "2 MiB, many frames, there and back",
    "unicode names": "exchange, queue and routing key in several scripts",
    "heartbeats": "an idle connection with heartbeats every second or two lives on",
    "both at once": "5,000 messages published and consumed at once, in order",
}

# What has to wait for time to pass: left out where seconds count.
SLOW = ("heartbeats",)
