"""What this machine is, without its name or its owner's."""

import json
import os
import sys
import zlib
from pathlib import Path

__all__ = ["describe_machine", "load_average", "machine_id"]


def describe_machine() -> dict[str, str | int]:
    """Return CPU, cores, memory, operating system and GPU; no host or user name."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count() or 1,
        "memory GiB": _memory(),
        "system": _system(),
        "gpu": _gpu(),
    }


def machine_id(description: dict[str, str | int]) -> str:
    """Return a short id that is the same for machines of the same description."""
    text = json.dumps(description, sort_keys=True)
    return f"{zlib.crc32(text.encode()):08x}"


def load_average() -> float | None:
    """Return the one-minute load average, None where the system has none."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.lower().startswith("model name"):
                return line.split(":", 1)[1].strip()
    if sys.platform == "darwin":
        import subprocess

        asked = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"],
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.returncode == 0:
            return asked.stdout.strip()
    return _system()


def _system() -> str:
    if hasattr(os, "uname"):
        return f"{os.uname().sysname} {os.uname().machine}"
    import platform

    return f"{platform.system()} {platform.machine()}"


def _memory() -> int:
    if not hasattr(os, "sysconf"):
        return 0
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30)


def _gpu() -> str:
    """Name the GPUs as the NVIDIA driver lists them; torch need not be loaded for that."""
    names = []
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        for line in file.read_text().splitlines():
            if line.startswith("Model:"):
                names.append(line.split(":", 1)[1].strip())
    if not names and "torch" in sys.modules and sys.modules["torch"].cuda.is_available():
        cuda = sys.modules["torch"].cuda
        names = [cuda.get_device_name(i) for i in range(cuda.device_count())]
    return ", ".join(names) or "none"
