"""The programs: see `interop.clients.programs`."""

from __future__ import annotations

from interop.clients.programs import Program

PROGRAMS = (
    Program(
        "Java",
        "rocketmq/java",
        ("java", "-cp", "target/classes:target/lib/*", "RocketProgram"),
        tools={"java": "apt-get install openjdk-17-jdk-headless", "mvn": "apt-get install maven"},
        prepare=(("mvn", "--quiet", "--batch-mode", "process-classes"),),
        built="target/classes/RocketProgram.class",
        takes_long=True,
    ),
)
