"""How the store behaves; see `gateway.config.StoreConfig` for what users set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """The options of one data folder."""

    segment_size: int = 1 << 30
    cache_size: int = 48 << 20
    volatile_size: int = 64 << 20
    sync_flush: bool = True
    async_flush_interval_s: float = 0.2
    progress_flush_interval_s: float = 1.0  # A crash of the machine forgets so much of it.
    checkpoint_distance: int = 128 << 20  # Reading so much again takes some 0.1 s.
    unflushed_size_max: int = 64 << 20
    retention_s: float = 72 * 3600.0
    retained_size_max: int = 10 << 30
    housekeeping_interval_s: float = 60.0
    timers_in_memory: int = 1 << 15  # The nearest; the others are in files.
    runs_in_memory: int = 1 << 18  # Of the indexes of all queues, each 24 bytes.
    stretch_run_count: int = 1 << 10  # Of what was spilled of an index, so many are read at once.
