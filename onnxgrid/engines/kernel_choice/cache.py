"""The file that remembers how long kernels took on this machine, so that it is measured once.

JSON: {"format", "version", "times": {environment: {site: {candidate: milliseconds}}}}. Since times are noisy and the
choice follows from them, it is this file that lets a run be repeated bit by bit: entries are never replaced.
"""

import json
import logging
import os
import platform
from collections.abc import Mapping
from pathlib import Path

import onnxruntime
import platformdirs
import torch

from converters.atomic_file import replacing

__all__ = ["KernelTimes", "environment", "user_cache_file"]

FORMAT, VERSION = "onnxgrid-kernel-times", 1

Times = dict[str, dict[str, float]]
"""{site: {candidate: milliseconds}}."""

logger = logging.getLogger(__name__)


def user_cache_file() -> Path:
    """The file in the user's cache folder: `$XDG_CACHE_HOME/onnxgrid/kernels.json` on Linux."""
    return Path(platformdirs.user_cache_dir("onnxgrid", appauthor=False)) / "kernels.json"


def environment(device: torch.device) -> str:
    """What times depend on besides the site: the processor or GPU, the threads, the libraries."""
    return "; ".join(
        (
            torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
            f"{torch.get_num_threads()} threads",
            f"onnxruntime {onnxruntime.__version__}",
            f"torch {torch.__version__}",
        )
    )


class KernelTimes:
    """Times of one environment, read from a file and kept in it."""

    def __init__(self, path: Path, environment: str) -> None:
        """Read the file; a missing one is empty, and so is one that is not ours, with a warning."""
        self._path, self._environment = path, environment
        self._times = self._read().get(environment, {})

    def of(self, site: str) -> dict[str, float]:
        """{candidate: milliseconds} for a site; empty if it was never measured."""
        return self._times.get(site, {})

    def add(self, new: Mapping[str, Mapping[str, float]]) -> None:
        """Keep new times, here and in the file. What another process has written meanwhile stands."""
        everything = self._read()
        ours = everything.setdefault(self._environment, {})
        for site, times in new.items():
            ours[site] = {**times, **self._times.get(site, {}), **ours.get(site, {})}
        self._times |= ours
        content = {"format": FORMAT, "version": VERSION, "times": everything}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self._path) as temporary:
                temporary.write_text(json.dumps(content, indent=1) + "\n")
        except OSError as error:
            logger.warning(
                "times of kernels cannot be kept in %s (%s): the next run measures again, and may choose other kernels",
                self._path,
                os.strerror(error.errno) if error.errno else error,
            )

    def _read(self) -> dict[str, Times]:
        try:
            content = json.loads(self._path.read_text())
            if (content["format"], content["version"]) != (FORMAT, VERSION):
                raise ValueError
            times: dict[str, Times] = content["times"]
            return {
                str(place): {str(s): {str(c): float(ms) for c, ms in t.items()} for s, t in sites.items()}
                for place, sites in times.items()
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            logger.warning("%s does not hold times of kernels; it is written anew", self._path)
        except OSError:
            pass
        return {}


def _processor() -> str:
    """The processor's name and model numbers."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = {key.strip(): text.strip() for key, _, text in (line.partition(":") for line in lines)}
    names = ("model name", "cpu family", "model", "stepping")
    return " ".join(fields[name] for name in names if name in fields) or platform.machine()
