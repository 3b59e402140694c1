#!/usr/bin/env python3
"""Finds sentences that seem to have no verb, in the comments of Rust sources and in Markdown pages.

    scripts/find-fragments.py [files or folders; by default all sources, the README and docs/]

The script knows some verbs and how they are inflected, and no grammar. So it prints candidates for somebody to read, with file and
line, and always exits with 0. Headings, tables, code and the line that names a file's path through the program are left out.
"""

import pathlib
import re
import sys

AUXILIARIES = set("""am is are was were be been isn't aren't has have had do does did can cannot can't could may might must shall should
    will would won't""".split())
VERBS = set("""accept add agree allocate allow answer appear append apply ask assume avoid become begin belong bind block bound break bring
    build call carry cause change check choose claim clear close collect come compare compute concern consist contain copy cost count
    cover crash create cut decide define delete demand depend derive describe differ do drain draw drop encode end enter exceed exist expect
    explain fail fall fill find finish fit fix follow forbid forget fork free get give go grow guard hand happen have help hide hold
    ignore imply include inline inherit insert install interrupt involve join keep kill know lack last lead leak leave let lie limit
    link list live load lock look lose make map mark match matter mean measure meet mention merge move name need note notice obey offer
    open order outlive own pass pause pay perform pick point prefer print promise prove provide put raise reach read receive record
    refer reject release rely remain remember remove rename repeat replace report request require resolve respond rest resume retry
    return roll round run sample save say see seem seize send separate serve set share show shrink shut sit skip sleep sort speak
    specify spend split stand start state stay stop store suffice suppose survive take tell tend test throw time touch track treat try
    turn unwind use vary verify visit wait walk want warn weigh win work wrap write yield""".split())
PAST = set("""began came chose did fell found gave got grew held kept knew lay led left lost made meant met ran read said saw sent set
    stood took told went won wrote""".split())
PRONOUNS = set("it they we he she you who that which what this these those one nobody nothing others both each".split())
NO_VERB_AFTER = set("a an the to of in by for with from at on its their our no any each every this as per own".split())


def inflections():
    thirds, pasts = {}, {}
    for verb in VERBS:
        stem = verb[:-1] + "ie" if re.search(r"[^aeiou]y$", verb) else verb + "e" * bool(re.search(r"(s|x|ch|sh|o)$", verb))
        thirds[stem + "s"] = verb
        pasts[verb.rstrip("e") + "ed"] = pasts[verb + verb[-1] + "ed"] = verb
        pasts[re.sub(r"y$", "i", verb) + "ed"] = verb
    thirds["has"] = "have"
    return thirds, pasts


THIRDS, PASTS = inflections()


def has_verb(sentence):
    text = re.sub(r"`[^`]*`", " code ", sentence)
    text = re.sub(r"\[([^\]]*)\](\([^)]*\))?", r"\1", text)
    words = re.findall(r"[a-z']+", text.lower())
    for index, word in enumerate(words):
        before = words[index - 1] if index else ""
        if word in AUXILIARIES or word in PAST or word in THIRDS and before not in NO_VERB_AFTER - {"each", "this", "that"}:
            return True
        if word in VERBS and before not in NO_VERB_AFTER or word in PASTS and before in PRONOUNS:
            return True
    return False


def sentences(paragraph):
    """The sentences of a paragraph, each with the index of the line that it begins in."""
    text = "\n".join(paragraph)
    start = 0
    for end in re.finditer(r"[.:;!?][)*\"”]*(?=\s|$)", text):
        is_abbreviation = re.search(r"\b(e\.g|i\.e|etc|vs|cf)\.$", text[:end.end()])
        if not is_abbreviation and end[0][0] in ".!?":
            yield text.count("\n", 0, start + len(text[start:]) - len(text[start:].lstrip())), text[start:end.end()]
            start = end.end()


def paragraphs(path):
    """Runs of lines that belong together, as (number of the first line, lines), without marks of comments."""
    is_rust, is_code, run, first = path.suffix == ".rs", False, [], 0
    for number, line in enumerate(path.read_text().splitlines() + [""], 1):
        found = re.match(r" *//[/!]? ?(.*)$", line) if is_rust else re.match(r" *(?:[-*] |\d+\. |> )?(.*)$", line)
        text = found[1].strip() if found else ""
        begins = bool(re.match(r" *(?:[-*]|\d+\.) ", line if not is_rust else text))
        if text.startswith("```"):
            is_code, text = not is_code, ""
        is_left_out = is_code or re.match(r"#|\||Path: \*|mutant: |<|!\[|\[[^\]]+\]: ", text) or not is_rust and line.startswith("    ")
        if not text or is_left_out or begins:
            if run:
                yield first, run
            run = []
        if text and not is_left_out:
            text = re.sub(r"^(?:[-*]|\d+\.) ", "", text)
            first = first if run else number
            run.append(re.sub(r"^(SAFETY|Cost|MSRV): *", "", text))


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    chosen = [pathlib.Path(argument).resolve() for argument in sys.argv[1:]]
    chosen = chosen or [root / name for name in ("README.md", "docs", "alloc-profiler", "pprof-server", "demo-leak", "tests")]
    files = [file for path in chosen for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
             if file.suffix in (".rs", ".md") and not {"target", "node_modules"} & set(file.parts)]
    count = 0
    for file in files:
        for first, lines in paragraphs(file):
            for offset, sentence in sentences(lines):
                if not has_verb(sentence):
                    count += 1
                    name = file.relative_to(root) if file.is_relative_to(root) else file
                    print(f"{name}:{first + offset}: {' '.join(sentence.split())}")
    print(f"find-fragments: {count} candidates in {len(files)} files", file=sys.stderr)


main()
