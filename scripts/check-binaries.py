#!/usr/bin/env python3
"""One small program that leaks, as linkers, packagers and kernels leave it: is the leaking line named?

Each cell of the matrix links the program anew, or takes a copy of it apart, or starts it in some other way, and reads its
profile with `go tool pprof`. There are three verdicts:

  named      function, file and line of the leak, inlined ones too, are right
  explained  something is missing, nothing is wrong, and a comment of the profile says what, why, and what to do about it
  wrong      anything else; also if `symbols` says "full" where something is missing

Prints a line for each cell, then the counts. Fails if one is wrong, or named where explained was all that could be, or
the other way round. Takes some minutes. Linux on x86-64; wants gcc, binutils and Go, and leaves out the cells of tools that
are not there: gold, lld, mold, patchelf, dwz, llvm-bolt. As root it also tries debug files below /usr/lib/debug.
Arguments choose cells by words in their names, any of which will do.
"""

import os
import pathlib
import shutil
import sys
import tempfile

from binaries import files, starts  # These fill CELLS, in this order.
from binaries.cell import Builder, Cell, cell, CELLS, EXPLAINED, Impossible, judge, NAMED, ROOT, run, served, WRONG


def is_there(needs):
    return needs is None or os.geteuid() == 0 if needs in (None, "root") else shutil.which(needs) is not None


def main():
    os.environ["PATH"] = run(ROOT / "scripts/install-go.sh").strip() + os.pathsep + os.environ["PATH"]
    words = sys.argv[1:]
    counts, failures, left_out = {NAMED: 0, EXPLAINED: 0, WRONG: 0}, [], []
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch).resolve()
        builder = Builder(scratch)
        for number, (name, expected, needs, prepare) in enumerate(CELLS):
            if words and not any(word in name for word in words):
                continue
            if not is_there(needs):
                left_out.append(name)
                continue
            folder = scratch / f"cell{number}"
            folder.mkdir()
            cell = Cell(builder, folder)
            try:
                command = prepare(cell)
                command, then = command if isinstance(command, tuple) else (command, lambda: None)
                program, address = served(command)
                try:
                    then()
                    verdict, evidence = judge(address, folder)
                finally:
                    program.stdin.close()
                    program.wait()
            except Impossible as reason:
                failures.append(name)
                print(f"impossible {name}: {reason}", flush=True)
                continue
            finally:
                for clean in cell.cleanups:
                    clean()
            shutil.rmtree(folder)
            counts[verdict] += 1
            print(f"{verdict:10} {name}", flush=True)
            if verdict != expected:
                failures.append(name)
                print(f"           NOT {expected}: {evidence}", flush=True)
    print(f"\n{sum(counts.values())} cells: " + ", ".join(f"{verdict} {count}" for verdict, count in counts.items()))
    if left_out:
        print(f"left out, for want of a tool: {', '.join(left_out)}")
    sys.exit(f"not as expected: {', '.join(failures)}" if failures else 0)


main()
