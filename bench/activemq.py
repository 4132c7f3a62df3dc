"""ActiveMQ Classic, to compare STOMP with: its own settings, but for where it is and writes."""

from __future__ import annotations

import os
import shutil
import socket
import time
from pathlib import Path
from typing import ClassVar

from bench.servers import ROOT, Server, free_ports

_FOLDER = ROOT / "build" / "activemq"
_MAIN_JAR = Path("bin/activemq.jar")
_READY_POLL_S = 0.2
# conf/activemq.xml of the distribution without its other protocols and its web console.
_CONFIGURATION = """\
<beans xmlns="http://www.springframework.org/schema/beans"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xsi:schemaLocation="http://www.springframework.org/schema/beans
  http://www.springframework.org/schema/beans/spring-beans.xsd
  http://activemq.apache.org/schema/core http://activemq.apache.org/schema/core/activemq-core.xsd">
  <broker xmlns="http://activemq.apache.org/schema/core" brokerName="bench"
    dataDirectory="{data}" useJmx="false">
    <destinationPolicy><policyMap><policyEntries>
      <policyEntry topic=">">
        <pendingMessageLimitStrategy>
          <constantPendingMessageLimitStrategy limit="1000"/>
        </pendingMessageLimitStrategy>
      </policyEntry>
    </policyEntries></policyMap></destinationPolicy>
    <persistenceAdapter><kahaDB directory="{data}/kahadb"/></persistenceAdapter>
    <systemUsage><systemUsage>
      <memoryUsage><memoryUsage percentOfJvmHeap="70"/></memoryUsage>
      <storeUsage><storeUsage limit="10 gb"/></storeUsage>
      <tempUsage><tempUsage limit="5 gb"/></tempUsage>
    </systemUsage></systemUsage>
    <transportConnectors>
      <transportConnector name="stomp"
        uri="stomp://127.0.0.1:{port}?maximumConnections=1000&amp;wireFormat.maxFrameSize=104857600"/>
    </transportConnectors>
  </broker>
</beans>
"""


class ActiveMQ(Server):
    """Only STOMP is served; `port`, AMQP's, is never known."""

    name = "activemq"
    HOW_TO_GET: ClassVar[str] = (
        "With Java 11 or newer and Maven: mvn dependency:copy"
        " -Dartifact=org.apache.activemq:apache-activemq:5.18.3:tar.gz:bin"
        " -DoutputDirectory=build/activemq"
        " && tar -C build/activemq -xzf build/activemq/apache-activemq-5.18.3-bin.tar.gz;"
        " or set ACTIVEMQ_HOME."
    )

    @staticmethod
    def home() -> Path | None:
        """Where the distribution is: $ACTIVEMQ_HOME, or else the newest below build/activemq."""
        named = os.environ.get("ACTIVEMQ_HOME")
        folders = [Path(named)] if named else sorted(_FOLDER.glob("apache-activemq-*/"))
        return next((each for each in reversed(folders) if (each / _MAIN_JAR).exists()), None)

    @classmethod
    def is_installed(cls) -> bool:
        """Whether there is one to compare with."""
        return cls.home() is not None and shutil.which("java") is not None

    @classmethod
    def version(cls) -> str:
        """As in the name of its folder."""
        home = cls.home()
        return "unknown" if home is None else home.name.removeprefix("apache-activemq-")

    def _spawn(self) -> None:
        home = self.home()
        assert home is not None
        (self.stomp_port,) = free_ports(1)
        self.data_dir.mkdir(parents=True, exist_ok=True)
        configuration = self.directory / "activemq.xml"
        configuration.write_text(_CONFIGURATION.format(data=self.data_dir, port=self.stomp_port))
        folders = {"home": home, "base": home, "conf": home / "conf", "data": self.data_dir}
        self._process = self._popen(
            [
                "java", "-Xms64M", "-Xmx1G",  # As its own script starts it.
                *(f"-Dactivemq.{name}={folder}" for name, folder in folders.items()),
                f"-Djava.io.tmpdir={self.directory}",
                "-jar", str(home / _MAIN_JAR), "start", f"xbean:file:{configuration}",
            ],
            dict(os.environ),
        )  # fmt: skip

    def _is_ready(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.stomp_port), timeout=1).close()
        except OSError:
            time.sleep(_READY_POLL_S)
            return False
        return True
