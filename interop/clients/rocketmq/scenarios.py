"""What the programs do: the columns of the matrix, and what must be seen in each.

A program is called with the name server's address, a prefix for its names and, if only some are
wanted, names of scenarios. For each it prints a line of JSON: `{"scenario": ..., "seen": ...}`, or
`{"scenario": ..., "problem": ...}`.
"""

from __future__ import annotations

SCENARIOS = {
    "send and push": "20 messages with tags, keys and properties, pushed; one found by its id",
    "asynchronous": "100 sends with callbacks, and a one-way one",
    "batch": "10 messages in one send",
    "large message": "2 MiB, which the client packs",
    "tags": "a group that wants two of three tags gets these",
    "SQL92": "a group that wants what a condition selects gets that",
    "delay": "delay level 2 comes after 5 s, a delay of 2 s before it",
    "retry": "a message that failed comes again, twice",
    "dead letters": "what failed too often is in the group's %DLQ%",
    "ordered": "in order, though the listener suspends the queue once",
    "broadcasting": "each of two members gets everything",
    "committed offset": "a consumer that comes back gets what is new",
    "lite pull": "subscribed and polled",
    "seek": "assigned queues, read from an offset; the offset of a time",
    "queue's own group": "the group of the topic's name takes the messages of the queue",
}
