"""Instructions per operation, counted by callgrind: the same on a busy machine as on a quiet one."""

import os
import re
import shutil
import subprocess


def instructions_per_operation(program, arguments, environment=None, few=20_000, many=120_000):
    """The difference of two runs that differ by so many operations alone, so that start-up cancels out.

    None without valgrind.
    """
    if not shutil.which("valgrind"):
        return None
    counts = [instructions(program, [*arguments, "--operations", str(operations)], environment)
              for operations in (few, many)]
    return (counts[1] - counts[0]) / (many - few)


def instructions(program, arguments, environment=None):
    """All that one run executes in user mode."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(program), *arguments]
    done = subprocess.run(command, env={**os.environ, **(environment or {})}, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        raise RuntimeError(f"callgrind of {program}: {done.stderr.strip()[-300:]}")
    return int(found[1])
