"""The only reader of clocks, memory meters and the machine's description."""

from tractable.measure._machine import describe_machine, load_average, machine_id
from tractable.measure._memory import available_memory, cuda_peak, numpy_peak, process_peak
from tractable.measure._timing import FULL, SHORT, Pace, cuda_clock, monotonic, now, time_arms

__all__ = [
    "FULL",
    "SHORT",
    "Pace",
    "available_memory",
    "cuda_clock",
    "cuda_peak",
    "describe_machine",
    "load_average",
    "machine_id",
    "monotonic",
    "now",
    "numpy_peak",
    "process_peak",
    "time_arms",
]
