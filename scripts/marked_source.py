"""Finds and changes the statements that comments `// mutant: NAME` mark in the sources, for mutants.py."""

import re

# The folders whose `src` folders, at whatever depth, hold markers.
CRATES = ["alloc-profiler", "pprof-server"]
MARKER = re.compile(r"^ *// mutant: (.+)\n", re.MULTILINE)


def statement_after(text, start):
    """The statement that begins at `start` of `text`, behind comments and further markers, as (start, end).

    It ends with the first line that closes all its parentheses and ends as statements, fields, match arms and heads of blocks do, or
    before the end of the block that it is in.
    """
    comments = re.compile(r"( *//.*\n)*").match(text, start)
    begin = end = comments.end()
    for line in text[begin:].splitlines(keepends=True):
        code = re.sub(r"\s*(// .*)?\n", "", line)
        depth = sum(text[begin:end].count(bracket) for bracket in "([") - sum(text[begin:end].count(bracket) for bracket in ")]")
        if end > begin and depth == 0 and code.lstrip().startswith("}"):
            break
        end += len(line)
        depth += sum(code.count(bracket) for bracket in "([") - sum(code.count(bracket) for bracket in ")]")
        if depth <= 0 and code.endswith((";", ",", "{", "}")):
            break
    return begin, end


def markers(root):
    """The files that hold each marker, by its name: a file stands there as often as it holds the marker."""
    found = {}
    for crate in CRATES:
        for path in sorted((root / crate).rglob("*.rs")):
            if "src" in path.relative_to(root).parts and "target" not in path.relative_to(root).parts:
                for name in MARKER.findall(path.read_text()):
                    found.setdefault(name, []).append(path)
    return found


def edited(text, marker, expected, change):
    """`text` with the marked statement changed, or None if the statement is not what is expected."""
    place = re.search(rf"^ *// mutant: {re.escape(marker)}\n", text, re.MULTILINE)
    begin, end = statement_after(text, place.end())
    matches = list(re.finditer(expected, text[begin:end]))
    if len(matches) != 1:
        return None
    return text[:begin] + change(text[begin:end], matches[0]) + text[end:]
