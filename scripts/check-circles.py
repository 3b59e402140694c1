#!/usr/bin/env python3
"""No module of a crate names one that names it back, directly or by way of others.

Reads the `use` declarations and the paths (`crate::a::b`, `super::x`) of each crate's sources and follows re-exports to
the file that has the item. In each folder it then looks for circles among the files and sub-folders there. A folder is its
`mod.rs` with all beneath. What a module names of its own children is what it is made of, and no tie. Tests are left out.

    scripts/check-circles.py [folder of the tree, by default the one that this script is in]

Prints each circle with the lines that tie it, and exits with 1 if there is any.
"""

import collections
import pathlib
import re
import sys

NO_CODE = re.compile(r"""//[^\n]*|/\*.*?\*/|r(#*)".*?"\1|"(?:\\.|[^"\\])*"|'(?:\\[^']+|[^'\\])'""", re.S)
TEST_FILE = re.compile(r"#\[cfg\((?:all\()?test\b[^\]]*\]\s*(?:pub(?:\([^)]*\))? )?mod (\w+);")
INLINE = re.compile(r"(#\[cfg\((?:all\()?test\b[^\]]*\]\s*(?:#\[[^\]]*\]\s*)*)?\bmod (\w+) \{")
USE = re.compile(r"\buse ([^;]+);")
PATH = re.compile(r"(?<![\w:])((?:crate|self|super)(?:::\w+)+)")


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    root = root if root.is_dir() else root.parent.parent
    count, is_bad = 0, False
    for sources in sorted(manifest.parent / "src" for manifest in root.glob("**/Cargo.toml")):
        if sources.is_dir() and not {"target", "node_modules", ".tools"} & set(sources.relative_to(root).parts):
            crate = Crate(sources, root)
            count += len(crate.files)
            for names, ties in [circle for folder in sorted(crate.folders()) for circle in crate.circles(folder)]:
                is_bad = True
                print(f"{sources.relative_to(root)}: a circle of {', '.join(sorted(names))}:", *ties, sep="\n  ")
    print(f"check-circles: {count} files")
    if count < 50:
        sys.exit("check-circles: too few to be true")
    sys.exit(is_bad)


class Crate:
    """The modules of one crate, each by its path (a tuple of names), and what each names of the others."""

    def __init__(self, sources, root):
        self.files, self.imports, self.named = {}, {}, collections.defaultdict(list)
        texts, tests = {}, set()
        for file in sorted(sources.glob("**/*.rs")):
            parts = file.relative_to(sources).with_suffix("").parts
            module = parts[:-1] if parts[-1] in ("mod", "lib", "main") else parts
            text = NO_CODE.sub(lambda found: '""' + "\n" * found[0].count("\n"), file.read_text())
            texts[module] = texts.get(module, "") + text
            self.files[module] = file.relative_to(root)
            tests |= {(*module, name) for name in TEST_FILE.findall(text)}
        for module in [module for module in texts if any(module[:len(test)] == test for test in tests)]:
            del texts[module], self.files[module]
        for module, text in texts.items():
            self.read(module, text)

    def read(self, module, text):
        """Notes what the text of a module imports, and all the paths in it."""
        text = re.sub(r"pub\(in [^)]*\)", "pub", text)
        inline = []
        for found in INLINE.finditer(text):
            end = block_end(text, found.end())
            inline.append((found.end(), end))
            if found[1]:
                text = text[:found.end()] + re.sub(r"[^\n]", " ", text[found.end():end]) + text[end:]
        imports = self.imports[module] = {}
        for found in USE.finditer(text):
            for path, name in leaves(found[1]):
                absolute = self.absolute(module, path, inline, found.start())
                if absolute is not None:
                    line = text.count("\n", 0, found.start()) + 1
                    self.named[module].append((absolute, f"{self.files[module]}:{line}: use {'::'.join(path)}"))
                    if not any(start <= found.start() < end for start, end in inline):
                        imports[name] = absolute
        for found in PATH.finditer(USE.sub(lambda use: re.sub(r"[^\n]", " ", use[0]), text)):
            absolute = self.absolute(module, found[1].split("::"), inline, found.start())
            if absolute is not None:
                line = text.count("\n", 0, found.start()) + 1
                self.named[module].append((absolute, f"{self.files[module]}:{line}: {found[1]}"))

    def absolute(self, module, path, inline, position):
        """The path from the crate's root; None for one of another crate's, or within the file."""
        if path[0] == "crate":
            return tuple(path[1:])
        ups = sum(part == "super" for part in path)
        names = tuple(part for part in path if part not in ("self", "super"))
        depth = sum(start <= position < end for start, end in inline)
        if path[0] == "super" and ups > depth:
            return module[:len(module) - (ups - depth)] + names
        is_child = (*module, path[0]) in self.files or path[0] == "self"
        return (*module, *names) if depth == ups and (is_child or ups) else None

    def home(self, path, tries=8):
        """The module whose file has what the path names."""
        end = next(end for end in range(len(path), -1, -1) if path[:end] in self.files)
        module, names = path[:end], path[end:]
        further = self.imports[module].get(names[0]) if names else None
        return self.home(further + names[1:], tries - 1) if further and further != path and tries else module

    def folders(self):
        return {module[:length] for module in self.files for length in range(len(module))}

    def circles(self, folder):
        """Sets of names in the folder that reach each other, with the lines that tie them."""
        depth, ties = len(folder), collections.defaultdict(set)
        for module, named in self.named.items():
            for path, line in named:
                home = self.home(path)
                if min(len(module), len(home)) > depth and module[:depth] == home[:depth] == folder:
                    if module[depth] != home[depth]:
                        ties[module[depth], home[depth]].add(line)
        after = collections.defaultdict(set)
        for start, end in ties:
            after[start].add(end)
        reached = {name: reach(name, after) for name in after}
        circles = {frozenset(other for other in reached[name] if name in reached.get(other, ()))
                   for name in reached if name in reached[name]}
        for circle in sorted(circles, key=sorted):
            lines = {line for (start, end), lines in ties.items() if {start, end} <= circle for line in lines}
            yield {"/".join((*folder, name)) for name in circle}, sorted(lines)


def block_end(text, start):
    """Where the block ends whose opening brace is just before `start`."""
    depth = 1
    for found in re.compile(r"[{}]").finditer(text, start):
        depth += 1 if found[0] == "{" else -1
        if depth == 0:
            return found.start()
    return len(text)


def leaves(tree, before=()):
    """The paths of a `use`, each with the name by which it is known here."""
    tree = " ".join(tree.split())
    if found := re.fullmatch(r"(.*?)(?:::)?\{(.*)\}", tree):
        before = (*before, *[part.strip() for part in found[1].split("::") if part])
        depth, start = 0, 0
        inner = found[2] + ","
        for index, character in enumerate(inner):
            depth += (character == "{") - (character == "}")
            if character == "," and depth == 0:
                if inner[start:index].strip():
                    yield from leaves(inner[start:index].strip(), before)
                start = index + 1
        return
    path, _, name = tree.partition(" as ")
    path = (*before, *path.split("::"))
    if path[-1] in ("self", "*"):
        name = name or (path[-2] if path[-1] == "self" else "*")
        path = path[:-1]
    yield list(path), name or path[-1]


def reach(name, after):
    """All that is reached from a name."""
    found, queue = set(), [name]
    while queue:
        for other in after.get(queue.pop(), ()):
            if other not in found:
                found.add(other)
                queue.append(other)
    return found


main()
