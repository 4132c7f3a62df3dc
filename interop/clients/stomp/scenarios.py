"""What the programs do: the columns of the matrix, and what must be seen in each.

A program is called with a host, a port and a prefix for its names. For each scenario it prints a
line of JSON: `{"scenario": ..., "seen": ...}`, or `{"scenario": ..., "problem": ...}`.
"""

from __future__ import annotations

SCENARIOS = {
    "refused login": "a wrong passcode is answered with ERROR `Bad CONNECT`",
    "headers": "a body and headers with colons and umlauts, there and back",
    "binary": "all 256 octets as a body, there and back",
    "receipts": "100 persistent messages, a receipt for each",
    "redelivery": "what was not acknowledged comes again, marked as redelivered",
    "nack": "a message given back comes again",
    "transactions": "aborted: gone; committed: there, in order",
    "topic": "a message with the key a.b comes to a.* and to a.#, each once",
    "reply": "a question with reply-to:/temp-queue/..., and its answer",
    "errors": "an unknown destination is answered with ERROR, and the session goes on",
    "in order": "2,000 messages sent and received at once",
    "heart-beats": "an idle connection with heart-beats every second lives on",
}
