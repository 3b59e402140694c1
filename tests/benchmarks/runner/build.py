"""Builds the programs, each with its own features, and remembers which rivals do not build and why.

Every program is linked several times, with its functions in another order each time (`layouts-cc`): where code lies
moves a loop by more than what is to be measured, so it is measured over many orders.
"""

import os
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
ROOT = PACKAGE.parent.parent
LINKER = Path(__file__).resolve().parent / "layouts-cc"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or PACKAGE / "target").resolve()

# Features, programs, and cargo's further arguments. One command each: see the features in Cargo.toml.
GROUPS = [
    ("", ["bare-system", "ours-system"], []),
    ("mimalloc", ["bare-mimalloc", "ours-mimalloc"], []),
    ("jemalloc", ["bare-jemalloc", "ours-jemalloc"], []),
    ("jemalloc-profiler", ["jemalloc-profiler"], []),
    ("rpprof", ["rpprof"], []),
    ("dhat", ["dhat"], []),
    ("", ["mimalloc-pprof"], ["--manifest-path", str(PACKAGE / "mimalloc-pprof/Cargo.toml")]),
    # It walks frame pointers and asks for them. Code built otherwise is in a folder of its own.
    ("pprof-alloc", ["pprof-alloc"], ["--config", 'build.rustflags=["-Cforce-frame-pointers=yes"]',
                                      "--target-dir", str(TARGET / "frame-pointers")]),
    ("read-path", ["read-path"], ["--no-default-features", "--target-dir", str(TARGET / "read-path")]),
]


def build(wanted=None):
    """Programs by name, the same in all orders of their functions, and what the compiler said where it failed."""
    programs, layouts, failures = {}, {}, {}
    for features, names, arguments in GROUPS:
        if wanted is not None and not set(names) & set(wanted):
            continue
        linker = ["--config", f'target.x86_64-unknown-linux-gnu.linker="{LINKER}"']
        error = cargo_build(features, names, arguments + linker)
        target = TARGET
        if "--target-dir" in arguments:
            target = Path(arguments[arguments.index("--target-dir") + 1])
        for name in names:
            if error:
                failures[name] = error
            else:
                programs[name] = target / "release" / name
                linked = sorted((target / "release/layouts").glob(f"{name.replace('-', '_')}-[0-9]"))
                layouts[name] = linked or [programs[name]]
    return programs, layouts, failures


def cargo_build(features, names, arguments):
    """None, or the first error."""
    print(f"building {', '.join(names)} ...", file=sys.stderr)
    bins = [part for name in names for part in ("--bin", name)]
    command = ["cargo", "build", "--release", "--locked", "--features", features, *bins, *arguments]
    if "--manifest-path" not in command:
        command += ["--manifest-path", str(PACKAGE / "Cargo.toml")]
    environment = {**os.environ, "CARGO_TARGET_DIR": str(TARGET)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode == 0:
        return None
    print(done.stderr, file=sys.stderr)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error")]
    return errors[0] if errors else "cargo failed"
