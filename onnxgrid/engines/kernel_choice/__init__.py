"""Which kernel computes what: the pass after the gradients are built.

site.py, sites/     where there is something to choose: one function per op type
timing.py           each candidate alone, timed
calmness.py         whether the machine was calm meanwhile
cache.py            the file that remembers the times
plan.py             writing a choice into the graph
layout.py           keeping channels last between kernels that want them so
choose.py           the pass
"""

from onnxgrid.engines.kernel_choice.cache import KernelTimes, environment, user_cache_file
from onnxgrid.engines.kernel_choice.calmness import KernelTime
from onnxgrid.engines.kernel_choice.choose import choose_kernels
from onnxgrid.engines.kernel_choice.graph import concrete_shapes

__all__ = ["KernelTime", "KernelTimes", "choose_kernels", "concrete_shapes", "environment", "user_cache_file"]
