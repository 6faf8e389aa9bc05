"""Papers that make hard computation cheap: maintained code, and their claims checked here.

The path of a file is its public path: `from tractable.attention.hip import hip_attention`.
This package itself loads the standard library alone; `count` is the one idea all papers share.
"""

from tractable._core.counting import Cost, count

__all__ = ["Cost", "__version__", "count"]

__version__ = "0.1.0"
