"""What is compared: programs, their settings, and the workloads each of them runs."""

import os
import shutil
from dataclasses import dataclass, field

DEFAULT_INTERVAL = 524288
INTERVALS = [("off", 0), ("512 KiB", DEFAULT_INTERVAL), ("64 KiB", 65536), ("4 KiB", 4096), ("every", 1)]
INNER = ["System", "mimalloc", "jemalloc"]
TCMALLOC = "/usr/lib/x86_64-linux-gnu/libtcmalloc.so.4"


@dataclass(frozen=True)
class Workload:
    """One column of the tables. `name` is what the programs call it."""

    name: str
    threads: int = 1
    is_real: bool = False

    @property
    def label(self):
        return self.name if self.threads == 1 else f"{self.name}, {self.threads} threads"

    def arguments(self):
        return [self.name, "--threads", str(self.threads)]


ALLOC_FREE, CHURN = Workload("alloc+free 64 B"), Workload("churn 16-515 B")
ALLOC_FREE_2, CHURN_2 = Workload("alloc+free 64 B", 2), Workload("churn 16-515 B", 2)
JSON = Workload("JSON", is_real=True)
MICRO = [ALLOC_FREE, CHURN, Workload("grow to 32 MB"), Workload("regrow 64-128 B"), Workload("aligned 256 B"),
         Workload("zeroed 4 KiB"), Workload("handed over"), ALLOC_FREE_2, CHURN_2]
REAL = [JSON, Workload("HTTP server", is_real=True), Workload("text", is_real=True),
        Workload("syntax trees", is_real=True)]
REAL_2 = [Workload(workload.name, 2, is_real=True) for workload in REAL]
WORKLOADS = MICRO + REAL + REAL_2


@dataclass(frozen=True)
class Setting:
    """One row of the tables: a program with its environment, and the bare allocator it is compared with."""

    name: str
    program: str
    base: str | None = None
    environment: dict = field(default_factory=dict)
    wrapper: tuple = ()
    # Budgets depend on it: measured in every round, the others in every third.
    is_key: bool = False
    # A file or command without which the setting is left out.
    needs: str | None = None

    def why_missing(self):
        found = self.needs is None or os.path.exists(self.needs) or shutil.which(self.needs)
        return None if found else f"{self.needs} is not installed"


def ours(label, inner):
    return f"ours, {label}, over {inner}"


def all_settings():
    rows = [Setting(inner, f"bare-{inner.lower()}") for inner in INNER]
    for inner in INNER:
        for label, interval in INTERVALS:
            rows.append(Setting(ours(label, inner), f"ours-{inner.lower()}", inner,
                                {"ALLOC_PROFILER_INTERVAL": str(interval)}, is_key=interval == DEFAULT_INTERVAL))
    preload = {"LD_PRELOAD": TCMALLOC}
    sampling = {**preload, "TCMALLOC_SAMPLE_PARAMETER": str(DEFAULT_INTERVAL)}
    rows += [
        jemalloc_profiler("jemalloc's profiler, 512 KiB", 19, is_key=True),
        jemalloc_profiler("jemalloc's profiler, every", 0),
        Setting("pprof-alloc, 512 KiB", "pprof-alloc", "System"),
        Setting("rpprof, 512 KiB", "rpprof", "System"),
        Setting("mimalloc-pprof, 512 KiB", "mimalloc-pprof", "mimalloc"),
        Setting("dhat, every", "dhat", "System"),
        Setting("tcmalloc", "bare-system", None, preload, needs=TCMALLOC),
        Setting("tcmalloc sampling, 512 KiB", "bare-system", "tcmalloc", sampling, needs=TCMALLOC),
        Setting("heaptrack, every", "bare-system", "System", needs="heaptrack",
                wrapper=("heaptrack", "--output", "{scratch}/heaptrack")),
    ]
    return rows


def jemalloc_profiler(name, lg_sample, is_key=False):
    conf = f"prof:true,prof_active:true,lg_prof_sample:{lg_sample}"
    return Setting(name, "jemalloc-profiler", "jemalloc", {"_RJEM_MALLOC_CONF": conf}, is_key=is_key)
