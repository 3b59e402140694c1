"""The cells in which the program was linked, stripped or packed in some way, or in which its debug information is elsewhere."""

import pathlib
import re
import shutil

from .cell import cell, EXPLAINED, linked, run


def link_cells():
    linkers = {
        "rustc's own": (),
        "bfd": ("-C", "linker-flavor=gcc", "-C", "link-self-contained=-linker", "-C", "link-arg=-fuse-ld=bfd"),
        "gold": ("-C", "link-self-contained=-linker", "-C", "link-arg=-fuse-ld=gold"),
        "lld 14": ("-C", "link-self-contained=-linker", "-C", "link-arg=-fuse-ld=lld"),
        "mold": ("-C", "link-self-contained=-linker", "-C", "link-arg=-fuse-ld=mold"),
    }
    needs = {"gold": "ld.gold", "lld 14": "ld.lld", "mold": "mold"}
    kinds = {"PIE": (), "no PIE": ("-C", "relocation-model=static"), "static PIE": ("-C", "target-feature=+crt-static")}
    pages = {"4 KiB": (), "64 KiB": ("-C", "link-arg=-Wl,-z,max-page-size=65536"),
             "2 MiB": ("-C", "link-arg=-Wl,-z,max-page-size=2097152")}
    for linker, linker_flags in linkers.items():
        for kind, kind_flags in kinds.items():
            for page, page_flags in pages.items():
                if kind == "PIE" or page != "4 KiB" and linker in ("rustc's own", "bfd"):
                    linked(f"{linker}, {kind}, pages of {page}", *linker_flags, *kind_flags, *page_flags,
                           needs=needs.get(linker))
    bfd = linkers["bfd"]
    linked("bfd, headers and code in one segment", *bfd, "-C", "link-arg=-Wl,-z,noseparate-code")
    linked("bfd, pages of 16 KiB", *bfd, "-C", "link-arg=-Wl,-z,max-page-size=16384")
    linked("bfd, fixed addresses far up", *bfd, "-C", "relocation-model=static",
           "-C", "link-arg=-Wl,-Ttext-segment=0x10000000,-z,max-page-size=65536")
    linked("lld 14, headers and code in one segment", *linkers["lld 14"], "-C", "link-arg=-Wl,--no-rosegment",
           needs="ld.lld")
    linked("bfd, no index of unwind tables", *bfd, "-C", "link-arg=-Wl,--no-eh-frame-hdr", verdict=EXPLAINED)
    linked("bfd, no build id", *bfd, "-C", "link-arg=-Wl,--build-id=none")
    linked("sections compressed by the linker", *bfd, "-C", "link-arg=-Wl,--compress-debug-sections=zlib")
    linked("no debug information", debug="0", verdict=EXPLAINED)
    linked("line tables only", debug="line-tables-only", verdict=EXPLAINED)
    linked("full debug information", debug="2")
    linked("stripped by rustc, of debug information", "-C", "strip=debuginfo", verdict=EXPLAINED)
    linked("stripped by rustc, of symbols", "-C", "strip=symbols", verdict=EXPLAINED)


link_cells()


@cell("strip --strip-debug", EXPLAINED)
def _(cell):
    return [cell.objcopy(cell.copy(), "--strip-debug")]


@cell("strip --strip-all", EXPLAINED)
def _(cell):
    return [cell.objcopy(cell.copy(), "--strip-all")]


for how in ("zlib", "zlib-gnu", "zstd"):
    @cell(f"sections compressed, {how}")
    def _(cell, how=how):
        return [cell.objcopy(cell.copy(), f"--compress-debug-sections={how}")]


@cell("a section of 80 MB more, compressed", EXPLAINED)
def _(cell):
    more = cell.folder / "more"
    with open(more, "wb") as file:
        file.truncate(80_000_000)
    program = cell.objcopy(cell.copy(), f"--add-section=.debug_macro={more}")
    return [cell.objcopy(program, "--compress-debug-sections=zlib")]


@cell("debug file beside it")
def _(cell):
    program = cell.copy()
    return [cell.apart(program, cell.folder / "leak.debug")]


@cell("debug file beside it, symbols kept")
def _(cell):
    program = cell.copy()
    return [cell.apart(program, cell.folder / "leak.debug", "--strip-debug")]


@cell("debug file in .debug")
def _(cell):
    program = cell.copy()
    return [cell.apart(program, cell.folder / ".debug/leak.debug")]


@cell("debug file in .debug, compressed")
def _(cell):
    program = cell.copy()
    return [cell.apart(program, cell.folder / ".debug/leak.debug", "--strip-all", "--compress-debug-sections=zlib")]


@cell("debug file below /usr/lib/debug by build id", needs="root")
def _(cell):
    program = cell.copy("-C", "link-arg=-Wl,--build-id")
    build_id = re.search(r"Build ID: (\w+)", run("readelf", "-n", program))[1]
    where = pathlib.Path(f"/usr/lib/debug/.build-id/{build_id[:2]}/{build_id[2:]}.debug")
    cell.cleanups.append(lambda: where.unlink())
    cell.apart(program, where)
    run("objcopy", "--remove-section=.gnu_debuglink", program)
    return [program]


@cell("debug file below /usr/lib/debug by path", needs="root")
def _(cell):
    program = cell.copy()
    where = pathlib.Path("/usr/lib/debug" + str(program.parent)) / "leak.debug"
    cell.cleanups.append(lambda: shutil.rmtree(where.parent))
    return [cell.apart(program, where)]


@cell("debug file gone", EXPLAINED)
def _(cell):
    program = cell.copy()
    debug = cell.folder / "leak.debug"
    cell.apart(program, debug)
    debug.unlink()
    return [program]


@cell("debug file of another build", EXPLAINED)
def _(cell):
    program = cell.copy()
    cell.apart(program, cell.folder / "leak.debug")
    other = cell.builder.program("-C", "link-arg=-Wl,--build-id", "-C", "symbol-mangling-version=v0")
    run("objcopy", "--only-keep-debug", other, cell.folder / "leak.debug")
    return [program]


@cell("debug file is no ELF file", EXPLAINED)
def _(cell):
    program = cell.copy()
    cell.apart(program, cell.folder / "leak.debug")
    (cell.folder / "leak.debug").write_text("nothing of that kind")
    return [program]


def shared_by_dwz(cell):
    """A program and a copy of it, whose common debug information `dwz` moves to a third file, for it shares what is in two files at
    least."""
    program = cell.copy("-C", "link-arg=-Wl,--build-id")
    other = cell.folder / "other"
    shutil.copy2(program, other)
    run("dwz", "-m", cell.folder / "shared", "-M", cell.folder / "shared", program, other)
    return program


@cell("debug file, shared parts by dwz in a third", EXPLAINED, needs="dwz")
def _(cell):
    return [shared_by_dwz(cell)]


@cell("debug file, shared parts by dwz are gone", EXPLAINED, needs="dwz")
def _(cell):
    program = shared_by_dwz(cell)
    (cell.folder / "shared").unlink()
    return [program]


def packed(cell, name="leak"):
    program = cell.copy("-C", "split-debuginfo=packed", name=name)
    package = cell.builder.program("-C", "split-debuginfo=packed").with_suffix(".dwp")
    shutil.copy2(package, program.with_name(name + ".dwp"))
    return program


@cell("split, packed")
def _(cell):
    return [packed(cell)]


@cell("split, packed, another name with a dot")
def _(cell):
    return [packed(cell, "leak.v2")]


@cell("split, packed, stripped, debug file beside it", EXPLAINED)
def _(cell):
    program = packed(cell)
    return [cell.apart(program, cell.folder / "leak.debug")]


@cell("split, package missing", EXPLAINED)
def _(cell):
    program = packed(cell)
    program.with_suffix(".dwp").unlink()
    return [program]


@cell("split, package is no ELF file", EXPLAINED)
def _(cell):
    program = packed(cell)
    program.with_suffix(".dwp").write_text("nothing of that kind")
    return [program]


@cell("split, package of another build", EXPLAINED)
def _(cell):
    program = packed(cell)
    other = cell.builder.program("-C", "split-debuginfo=packed", "-C", "overflow-checks=on", debug="1")
    shutil.copy2(other.with_suffix(".dwp"), program.with_suffix(".dwp"))
    return [program]


@cell("split, unpacked")
def _(cell):
    return [cell.builder.program("-C", "split-debuginfo=unpacked")]


@cell("split, unpacked, object files gone", EXPLAINED)
def _(cell):
    program = cell.builder.program("-C", "split-debuginfo=unpacked", "-C", "codegen-units=2")
    for file in program.parent.glob("*.dwo"):
        file.unlink()
    return [program]
