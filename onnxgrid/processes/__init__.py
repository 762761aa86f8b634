"""Several processes that train one network: how they were launched, how they find each other, what they exchange, and
how they end together when one of them fails.

launch.py     what the environment of torchrun, Open MPI or SLURM says about this process
group.py      the processes of a run: sums over all of them, and agreement
failures.py   one message when a run of several processes fails, whichever failed first

Needs torch only once there is more than one process. Data parallel: every process holds the whole network and its rows
of each batch.
"""

from onnxgrid.processes.group import ALONE, Processes, connection_watched, joined, sum_over_processes
from onnxgrid.processes.launch import Launch, find_launch

__all__ = ["ALONE", "Launch", "Processes", "connection_watched", "find_launch", "joined", "sum_over_processes"]
