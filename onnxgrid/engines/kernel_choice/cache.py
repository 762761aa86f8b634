"""The file that remembers how long kernels took on this machine, so that it is measured once.

JSON: {"format", "version", "times": {environment: {site: {candidate: {"busy", "milliseconds"}}}}}. Since times are
noisy and the choice follows from them, it is this file that lets a run be repeated bit by bit: an entry is replaced
only if the machine was busy when it was taken, and only by one of a calm machine. Version 1 was {candidate:
milliseconds} and said nothing of that: its entries count as taken on a busy machine.
"""

import json
import logging
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnxruntime
import platformdirs
import torch

from converters.atomic_file import replacing
from onnxgrid.engines.kernel_choice.calmness import KernelTime

__all__ = ["KernelTimes", "environment", "user_cache_file"]

FORMAT, VERSION = "onnxgrid-kernel-times", 2
WITHOUT_BUSY = 1
"""The version that did not tell busy machines."""

Times = dict[str, dict[str, KernelTime]]
"""{site: {candidate: time}}."""

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

    def of(self, site: str) -> dict[str, KernelTime]:
        """{candidate: time} for a site; empty if it was never measured."""
        return self._times.get(site, {})

    def add(self, new: Mapping[str, Mapping[str, KernelTime]]) -> None:
        """Keep new times, here and in the file. What was known stands, in the file before here, unless the machine was
        busy then, and was not for the new time.
        """
        everything = self._read()
        ours = everything.setdefault(self._environment, {})
        for site, times in new.items():
            ours[site] = _joined(_joined(ours.get(site, {}), self._times.get(site, {})), times)
        self._times |= ours
        content = {"format": FORMAT, "version": VERSION, "times": _as_json(everything)}
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
            version = content["version"]
            if content["format"] != FORMAT or version not in (VERSION, WITHOUT_BUSY):
                raise ValueError
            return {
                str(place): {
                    str(s): {str(c): _read_time(t, version) for c, t in times.items()} for s, times in sites.items()
                }
                for place, sites in content["times"].items()
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            logger.warning("%s does not hold times of kernels; it is written anew", self._path)
        except OSError:
            pass
        return {}


def _joined(known: Mapping[str, KernelTime], new: Mapping[str, KernelTime]) -> dict[str, KernelTime]:
    """The known times and those new ones that are missing there, or of a calm machine and guesses there.

    A guess gives way to no guess: the least of many would be ever farther from the truth.
    """
    better = {name: time for name, time in new.items() if name not in known or (known[name].busy and not time.busy)}
    return {**known, **better}


def _read_time(entry: Any, version: int) -> KernelTime:
    if version == WITHOUT_BUSY:
        return KernelTime(busy=True, milliseconds=float(entry))
    return KernelTime(busy=bool(entry["busy"]), milliseconds=float(entry["milliseconds"]))


def _as_json(everything: Mapping[str, Times]) -> dict[str, Any]:
    return {
        place: {site: {c: asdict(time) for c, time in times.items()} for site, times in sites.items()}
        for place, sites in everything.items()
    }


def _processor() -> str:
    """The processor's name and model numbers."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = {key.strip(): text.strip() for key, _, text in (line.partition(":") for line in lines)}
    names = ("model name", "cpu family", "model", "stepping")
    return " ".join(fields[name] for name in names if name in fields) or platform.machine()
