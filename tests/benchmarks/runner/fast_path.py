"""Whether the path of an unsampled allocation is still what it should be, without looking at a clock.

1. Instructions that we add to each operation, counted by callgrind, against the bounds in fast-path.txt.
2. The machine code of the four allocator functions, and of C's, in an optimized program: until they jump to the inner
   allocator there is no call; nowhere is there a lock, or a way to a panic.

Fails with what it found.
"""

import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from build import PACKAGE, TARGET, cargo_build  # noqa: E402
from counted import instructions_per_operation  # noqa: E402

BOUNDS = PACKAGE / "fast-path.txt"
FUNCTIONS = ["__rust_alloc", "__rust_dealloc", "__rust_realloc", "__rust_alloc_zeroed"]
C = ["malloc", "free", "calloc", "realloc"]
# Where that one is inlined into the only function that calls it, it is read there.
STANDS_FOR = {"alloc::alloc::alloc_zeroed": "__rust_alloc_zeroed"}
OFF = {"ALLOC_PROFILER_INTERVAL": "0"}


def main():
    target = TARGET / "fast-path"
    error = cargo_build("", ["bare-system", "ours-system", "ours-c"], ["--no-default-features", "--target-dir", str(target)])
    if error:
        sys.exit(f"fast path: {error}")
    bare, ours, in_c = [target / "release" / name for name in ("bare-system", "ours-system", "ours-c")]
    complaints = [*too_many_instructions(bare, ours, in_c), *wrong_code(disassembly(ours)), *wrong_code(disassembly(in_c, C), C)]
    for complaint in complaints:
        print(f"fast path: {complaint}", file=sys.stderr)
    sys.exit(1 if complaints else 0)


def too_many_instructions(bare, ours, in_c):
    print(f"{'instructions added to':<24}{'counted':>10}{'bound':>8}")
    for name, bound in bounds().items():
        is_of_c = name.startswith("C ")
        counts = [instructions_per_operation(program, [name], OFF) for program in (bare, in_c if is_of_c else ours)]
        added = counts[1] - counts[0]
        print(f"{name:<24}{added:>10.2f}{bound:>8g}")
        if added > bound:
            yield f"{name}: {added:.2f} instructions more than bare, the bound is {bound:g}"
        # One instruction would be 1. Where glibc clears memory, and how often it asks for more, differs a little between programs.
        if is_of_c and (added := instructions_per_operation(ours, [name], OFF) - counts[0]) > 0.1:
            yield f"{name}: {added:.2f} instructions more than bare without `define_malloc!`"


def bounds():
    """Lines of `bound<space>workload`; what follows a # says why."""
    lines = (line.split("#")[0].split(maxsplit=1) for line in BOUNDS.read_text().splitlines())
    return {fields[1].strip(): float(fields[0]) for fields in lines if fields}


def wrong_code(code, functions=FUNCTIONS):
    for name in functions:
        if name not in code:
            yield f"{name} is not in the program's disassembly"
            continue
        instructions = code[name]
        print(f"{name}: {len(instructions)} instructions, {len(before_jump(instructions))} before the inner allocator")
        for instruction in before_jump(instructions):
            if re.match(r"(call|syscall)", instruction):
                yield f"{name} calls before the inner allocator's jump: {instruction}"
        for instruction in instructions:
            # An exchange with memory locks without saying so.
            if re.match(r"lock\b|xchg.*\(|mfence", instruction):
                yield f"{name} has a locked instruction: {instruction}"
            if re.search(r"core.*panicking|panic_|_Unwind_Resume", instruction):
                yield f"{name} may panic: {instruction}"


def before_jump(instructions):
    """Straight on, no branch taken, until the jump that leaves the function; or all of it, if there is none."""
    for position, instruction in enumerate(instructions):
        if re.match(r"jmp\b", instruction) or instruction.startswith("ret"):
            return instructions[: position + 1]
    return instructions


def disassembly(program, functions=FUNCTIONS):
    """The instructions of each of the functions, as objdump writes them, without addresses and padding."""
    command = ["objdump", "--disassemble", "--no-show-raw-insn", "--demangle", str(program)]
    code, current = {}, None
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        title = re.match(r"[0-9a-f]+ <(.*)>:$", line)
        if title:
            # By Rust's present mangling, crates come with a hash.
            name = re.sub(r"\[[0-9a-f]{16}\]", "", title[1])
            name = STANDS_FOR.get(name) or name.removeprefix("__rustc::")
            current = code.setdefault(name, []) if name in functions else None
        elif current is not None and (found := re.match(r"\s+[0-9a-f]+:\s+(.*)$", line)):
            if not re.match(r"int3|nop", found[1]):
                current.append(found[1])
    return code


main()
