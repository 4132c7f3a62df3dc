"""The programs: see `interop.clients.programs`.

Debian's packages are unpacked in the folder of the program; nothing is installed in the system.
The JavaScript client is the one of `interop.websocket`, in the same version.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from interop.clients.programs import SOURCES, Program

_APT = {"apt-get": "it is Debian's", "dpkg-deb": "it is Debian's"}
_WEBSOCKET = SOURCES.parent / "websocket"


@dataclass(frozen=True, slots=True)
class StompProgram(Program):
    """A program that is called with a host, a port and a prefix for its names."""

    listener: str = "stomp"  # Or "ws", over WebSocket: the word of our ready line.


def _unpack(*packages: str) -> Sequence[Sequence[str]]:
    return (
        ("apt-get", "--quiet", "download", *packages),
        ("sh", "-c", "for archive in *.deb; do dpkg-deb -x $archive package || exit; done"),
    )


PROGRAMS = (
    StompProgram("stomp.py", "stomp/python", (sys.executable, "program.py")),
    StompProgram(
        "go-stomp",
        "stomp/go",
        ("./program",),
        tools={"go": "apt-get install golang"},
        prepare=(("go", "build", "-o", "program", "."),),
        built="program",
    ),
    StompProgram(
        "Ruby's stomp",
        "stomp/ruby",
        ("ruby", "-I", "package/usr/lib/ruby/vendor_ruby", "program.rb"),
        tools={"ruby": "apt-get install ruby", **_APT},
        prepare=_unpack("ruby-stomp"),
        built="package",
    ),
    StompProgram(
        "Net::Stomp",
        "stomp/perl",
        ("perl", "-I", "package/usr/share/perl5", "program.pl"),
        tools={"perl": "apt-get install perl", **_APT},
        prepare=_unpack("libnet-stomp-perl", "libclass-accessor-perl", "liblog-any-perl"),
        built="package",
    ),
    StompProgram(
        "stompjs",
        "stomp/node",
        ("node", "program.mjs"),
        tools={"node": "apt-get install nodejs", "npm": "apt-get install npm"},
        prepare=(
            ("cp", str(_WEBSOCKET / "package.json"), str(_WEBSOCKET / "package-lock.json"), "."),
            ("npm", "ci", "--no-audit", "--no-fund"),
        ),
        built="node_modules/@stomp/stompjs",
        listener="ws",
    ),
)
