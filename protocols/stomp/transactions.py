"""What a session does at COMMIT: the messages and acknowledgements of its open transactions."""

from __future__ import annotations

from gateway.messages import Item
from protocols.stomp.acknowledging import Acknowledgement, Acknowledger
from protocols.stomp.answers import encode_receipt
from protocols.stomp.codec import Frame
from protocols.stomp.config import StompConfig
from protocols.stomp.errors import RequestRefusedError
from protocols.stomp.publishing import Publisher
from protocols.stomp.receipts import Receipts
from protocols.stomp.unsettled import Unsettled

_ITEM_OVERHEAD_SIZE = 500


class Transaction:
    """Messages in the order of their frames, then acknowledgements."""

    def __init__(self, size_max: int) -> None:
        self.items: list[Item] = []
        self.receipts: list[bytes] = []
        self.acknowledgements: list[Acknowledgement] = []
        self._size = 0
        self._size_max = size_max

    def send(self, item: Item, receipt: bytes) -> None:
        """A message, and what its RECEIPT is, if there is to be one."""
        self.items.append(item)
        if receipt:
            self.receipts.append(receipt)
        self._grow(2 * len(item[2]) + _ITEM_OVERHEAD_SIZE)

    def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        """An ACK or a NACK."""
        self.acknowledgements.append(acknowledgement)
        self._grow(_ITEM_OVERHEAD_SIZE)

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > self._size_max:
            raise RequestRefusedError(
                "Transaction too large",
                f"A transaction may hold {self._size_max} octets\n",
                closing=True,
            )


class Transactions:
    """The open transactions of one session. What is refused is a `RequestRefusedError`."""

    def __init__(
        self,
        config: StompConfig,
        publisher: Publisher,
        acknowledger: Acknowledger,
        unsettled: Unsettled,
        receipts: Receipts,
    ) -> None:
        self._config = config
        self._publisher = publisher
        self._acknowledger = acknowledger
        self._unsettled = unsettled
        self._receipts = receipts
        self._open: dict[str, Transaction] = {}

    def begin(self, frame: Frame) -> None:
        """BEGIN; begun again, a transaction is empty again."""
        identifier = _identifier(frame)
        count_max = self._config.max_transaction_count
        if identifier not in self._open and len(self._open) >= count_max:
            raise RequestRefusedError(
                "Too many transactions",
                f"A session may have {count_max} open transactions\n",
                closing=True,
            )
        self._open[identifier] = Transaction(self._config.max_transaction_size)

    def abort(self, frame: Frame) -> None:
        """ABORT."""
        self._end(frame)

    def commit(self, frame: Frame) -> None:
        """COMMIT: append all messages at once; RECEIPT follows when they are stored."""
        transaction = self._end(frame)
        receipts = b"".join(transaction.receipts)
        if (receipt := frame.headers.get("receipt")) is not None:
            receipts += encode_receipt(receipt)
        # All or nothing: the topology is asked, and may refuse, before anything is appended.
        items = [self._publisher.route_again(item) for item in transaction.items]
        for acknowledgement in transaction.acknowledgements:
            self._unsettled.check(acknowledgement.delivery_tag)
        if items:
            try:
                self._publisher.publish_together(items, receipts)
            except OSError:  # It is tried again.
                self._open[frame.headers["transaction"]] = transaction
                raise
        for acknowledgement in transaction.acknowledgements:
            self._acknowledger.apply(acknowledgement)
        if not items and receipts:
            self._receipts.add(receipts)

    def of(self, frame: Frame) -> Transaction | None:
        """The transaction that a frame belongs to, if it says so."""
        identifier = frame.headers.get("transaction")
        if identifier is None:
            return None
        transaction = self._open.get(identifier)
        if transaction is None:
            raise _bad_transaction(identifier)
        return transaction

    def forget_all(self) -> None:
        """The session has ended."""
        self._open.clear()

    def _end(self, frame: Frame) -> Transaction:
        identifier = _identifier(frame)
        transaction = self._open.pop(identifier, None)
        if transaction is None:
            raise _bad_transaction(identifier)
        return transaction


def _identifier(frame: Frame) -> str:
    identifier = frame.headers.get("transaction")
    if identifier is None:
        raise RequestRefusedError(
            "Missing transaction", f"\"{frame.command}\" must include a 'transaction' header\n"
        )
    return identifier


def _bad_transaction(identifier: str) -> RequestRefusedError:
    return RequestRefusedError(
        "Bad transaction", f'Invalid transaction identifier: "{identifier}"\n'
    )
