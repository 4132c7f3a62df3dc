"""The programs: see `interop.clients.programs`.

Debian's packages are unpacked in the folder of the program; nothing is installed in the system.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from interop.clients.programs import Program

_APT = {"apt-get": "it is Debian's", "dpkg-deb": "it is Debian's"}


def _unpack(*packages: str) -> Sequence[Sequence[str]]:
    return (
        ("apt-get", "--quiet", "download", *packages),
        ("sh", "-c", "for archive in *.deb; do dpkg-deb -x $archive package || exit; done"),
    )


PROGRAMS = (
    Program("stomp.py", "stomp/python", (sys.executable, "program.py")),
    Program(
        "go-stomp",
        "stomp/go",
        ("./program",),
        tools={"go": "apt-get install golang"},
        prepare=(("go", "build", "-o", "program", "."),),
        built="program",
    ),
    Program(
        "Ruby's stomp",
        "stomp/ruby",
        ("ruby", "-I", "package/usr/lib/ruby/vendor_ruby", "program.rb"),
        tools={"ruby": "apt-get install ruby", **_APT},
        prepare=_unpack("ruby-stomp"),
        built="package",
    ),
    Program(
        "Net::Stomp",
        "stomp/perl",
        ("perl", "-I", "package/usr/share/perl5", "program.pl"),
        tools={"perl": "apt-get install perl", **_APT},
        prepare=_unpack("libnet-stomp-perl", "libclass-accessor-perl", "liblog-any-perl"),
        built="package",
    ),
)
