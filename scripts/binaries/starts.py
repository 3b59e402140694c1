"""The cells in which the program has a strange name, is started in some other way, or was changed after it was linked."""

import os
import shutil
import sys

from .cell import cell, EXPLAINED, run
from .files import packed

for what, name in {"spaces": "a leak of ours", "a line break": "lea\nk", "a backslash": "lea\\k", "' (deleted)'": "leak (deleted)",
                   "escapes as the kernel's": "lea\\012k", "bytes that are no text": os.fsdecode(b"leak\xff")}.items():
    @cell(f"a name with {what}")
    def _(cell, name=name):
        return [cell.copy(name=name)]

    @cell(f"a name with {what}, split, packed")
    def _(cell, name=name):
        return [packed(cell, name)]


@cell("a folder with a line break and ' (deleted)', debug file in .debug")
def _(cell):
    program = cell.copy(name="lea\nk (deleted)/leak")
    return [cell.apart(program, program.parent / ".debug/leak.debug")]


@cell("started by the loader")
def _(cell):
    return ["/lib64/ld-linux-x86-64.so.2", cell.copy()]


@cell("started by the loader, no build id")
def _(cell):
    return ["/lib64/ld-linux-x86-64.so.2", cell.objcopy(cell.copy(), "--remove-section=.note.gnu.build-id")]


@cell("started by the loader, debug file beside it, pages of 2 MiB")
def _(cell):
    program = cell.copy("-C", "link-arg=-Wl,-z,max-page-size=2097152")
    return ["/lib64/ld-linux-x86-64.so.2", cell.apart(program, cell.folder / "leak.debug")]


@cell("started by the loader, split, package missing", EXPLAINED)
def _(cell):
    program = packed(cell)
    program.with_suffix(".dwp").unlink()
    return ["/lib64/ld-linux-x86-64.so.2", program]


@cell("under another name")
def _(cell):
    return ["bash", "-c", f"exec -a /nonexistent/other '{cell.copy()}'"]


@cell("by a symbolic link, debug file beside the program")
def _(cell):
    program = cell.apart(cell.copy(name="real/leak"), cell.folder / "real/leak.debug")
    link = cell.folder / "link"
    link.symlink_to(program)
    return [link]


@cell("by a hard link elsewhere, split, packed", EXPLAINED)
def _(cell):
    link = cell.folder / "elsewhere"
    os.link(packed(cell), link)
    return [link]


@cell("from a file in memory")
def _(cell):
    program = cell.copy()
    return [sys.executable, "-c", "import os, shutil, sys; file = os.memfd_create('leak'); "
            "shutil.copyfileobj(open(sys.argv[1], 'rb'), os.fdopen(os.dup(file), 'wb')); "
            "os.execv(f'/proc/self/fd/{file}', ['leak'])", program]


def gone(cell, program):
    """Takes the program away while it runs."""
    return [program], lambda: program.unlink()


@cell("deleted while it runs")
def _(cell):
    return gone(cell, cell.copy())


@cell("deleted while it runs, split, packed", EXPLAINED)
def _(cell):
    program = packed(cell)
    return [program], lambda: program.unlink()


@cell("deleted while it runs, debug file beside it")
def _(cell):
    return gone(cell, cell.apart(cell.copy(), cell.folder / "leak.debug"))


@cell("replaced by another build while it runs")
def _(cell):
    program = cell.copy()
    other = cell.builder.program("-C", "overflow-checks=on", "-C", "symbol-mangling-version=v0")
    new = cell.folder / "new"
    shutil.copy2(other, new)
    return [program], lambda: new.rename(program)


@cell("replaced by another build while it runs, started by the loader", EXPLAINED)
def _(cell):
    program = cell.copy()
    other = cell.builder.program("-C", "overflow-checks=on", "-C", "symbol-mangling-version=v0")
    new = cell.folder / "new"
    shutil.copy2(other, new)
    return ["/lib64/ld-linux-x86-64.so.2", program], lambda: new.rename(program)


@cell("another file mounted over it", needs="root")
def _(cell):
    program = cell.copy()
    other = cell.builder.program("-C", "overflow-checks=on", "-C", "symbol-mangling-version=v0")
    cell.cleanups.append(lambda: run("umount", program))
    return [program], lambda: run("mount", "--bind", other, program)


for flags in (["--set-rpath", "/a/path/that/is/longer/than/what/was/there/before/" + "x" * 200],
              ["--set-interpreter", "/lib64/../lib64/../lib64/../lib64/ld-linux-x86-64.so.2"],
              ["--add-needed", "libm.so.6"]):
    for kind, link in {"PIE": [], "no PIE, pages of 64 KiB": ["-C", "relocation-model=static", "-C",
                                                             "link-arg=-Wl,-z,max-page-size=65536"]}.items():
        @cell(f"patchelf {flags[0]}, {kind}", needs="patchelf")
        def _(cell, flags=flags, link=link):
            program = cell.copy(*link)
            run("patchelf", *flags, program)
            return [program]


def bolted(cell, *flags):
    program = cell.copy("-C", "link-arg=-Wl,--emit-relocs")
    run("llvm-bolt-16", program, "-o", cell.folder / "bolted", "-reorder-functions=hfsort", "-lite=0", *flags)
    return [cell.folder / "bolted"]


@cell("llvm-bolt, functions moved", needs="llvm-bolt-16")
def _(cell):
    return bolted(cell, "-update-debug-sections", "-use-old-text=0")


@cell("llvm-bolt, functions moved, debug information left out", EXPLAINED, needs="llvm-bolt-16")
def _(cell):
    return bolted(cell, "-use-old-text=0")


for how in ("all", "part", "file"):
    for kind, link in {"": [], ", pages of 2 MiB": ["-C", "link-arg=-Wl,-z,max-page-size=2097152"],
                       ", static PIE": ["-C", "target-feature=+crt-static"]}.items():
        @cell(f"code on other pages, {how}{kind}")
        def _(cell, how=how, link=link):
            return ["env", f"LEAK_REMAP={how}", cell.copy(*link)]


@cell("code on other pages, stripped, debug file beside it")
def _(cell):
    return ["env", "LEAK_REMAP=all", cell.apart(cell.copy(), cell.folder / "leak.debug")]
