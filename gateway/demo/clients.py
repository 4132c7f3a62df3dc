"""One client of each language; importing this needs the extra `interop`."""

from __future__ import annotations

from collections.abc import Mapping

from pika.exceptions import AMQPError
from stomp.exception import StompException

from gateway.demo.pika_client import PikaClient
from gateway.demo.sample import Address, Client, ClientError, MissingMessagesError
from gateway.demo.sdk_client import SdkClient
from gateway.demo.stomp_client import StompClient
from rosettamq import RosettaMQError

# What goes wrong when a broker is not there, or refuses something.
CLIENT_ERRORS = (
    AMQPError,
    StompException,
    RosettaMQError,
    OSError,
    ClientError,
    MissingMessagesError,
)


def make_clients(addresses: Mapping[str, Address]) -> list[Client]:
    """Clients for the addresses of a broker's ready line."""
    return [
        PikaClient(addresses["amqp"]),
        StompClient(addresses["stomp"]),
        SdkClient(addresses["name_server"]),
    ]
