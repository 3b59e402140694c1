#!/usr/bin/env python3
"""Finds sentences that seem to have no verb, in the comments of sources (Rust and the page's) and in Markdown pages.

    scripts/check-sentences.py [files or folders; by default all sources, the README and docs/]

The script knows some verbs and how they are inflected, and no grammar. So it prints candidates for somebody to read, with file and
line, and fails if there are any. A candidate that is a sentence has a verb that VERBS lacks: add it there. What is no sentence and
may stay so has its place in ALLOWED, with the reason. Headings (bold ones too), tables, code and the label that names a file's path
through the program (`Path: *read path*. Pure.`) are left out.
"""

import pathlib
import re
import sys

AUXILIARIES = set("""am is are was were be been isn't aren't has have had do does did can cannot can't could may might must shall should
    will would won't""".split())
VERBS = set("""accept act add agree allocate allow answer appear append apply ask assume avoid become begin belong bind block bound break
    bring build call carry cause change check choose claim clear close collect come compare compile compute concern connect consist contain
    copy cost count cover crash create cut decide decode decompress define delete demand demangle depend derive describe differ discard do
    double drain draw drive drop earn encode end enter estimate evaluate examine exceed exist expect explain export fail fall
    fill find finish fit fix follow forbid forget fork free get give go grow guard halve hand happen hash have help hide hold hunt
    identify ignore imply include inherit inline insert install instantiate interrupt involve join judge keep kill know label lack last lead leak
    leave let lie limit link list listen live load lock look loop lose lower make mangle map mark match matter mean measure meet mention
    merge mirror miss move name need note notice number obey offer open order outlive owe own panic park parse pass pause pay perform pick point
    prefer print promise prove provide put raise reach read receive record refer refuse reject release rely remain remap
    remember remove rename repeat replace report request require reserve resolve respond rest resume retry return ring roll
    round run sample save say see seem seize send separate serve set share show shrink shut sit skip sleep sort spawn speak specify
    spell spend split stand start state stay stop store subtract suffice sum suppose survive switch take tell tend test throw
    time touch track treat try turn unmap unwind use vary verify visit wait walk want warn watch weigh win work wrap write yield""".split())
PAST = set("""began came chose did fell found gave got grew held kept knew lay led left lost made meant met ran read said saw sent set
    stood took told went won wrote""".split())
SUFFIXES = (".rs", ".md")
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


# Sentences that may go without a verb, as they stand, each with the reason.
ALLOWED = {
}

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
    is_source, is_code, run, first = path.suffix != ".md", False, [], 0
    of_block = "" if path.suffix == ".rs" else r"|/\*\*?|\*(?= )"
    mark = rf" *(?:{{?//[/!]?{of_block}) ?(.*?)(?: ?\*/}}?)?$" if is_source else r" *(?:[-*] |\d+\. |> )?(.*)$"
    for number, line in enumerate(path.read_text().splitlines() + [""], 1):
        found = re.match(mark, line)
        text = found[1].strip() if found else ""
        begins = bool(re.match(r" *(?:[-*]|\d+\.) ", line if not is_source else text))
        if text.startswith("```"):
            is_code, text = not is_code, ""
        is_left_out = is_code or re.match(r"#|\||mutant: |<|!\[|\[[^\]]+\]: ", text) or not is_source and line.startswith("    ")
        if not text or is_left_out or begins:
            if run:
                yield first, run
            run = []
        if text and not is_left_out:
            text = re.sub(r"^(?:[-*]|\d+\.) ", "", text)
            # A bold phrase with a full stop begins a paragraph as a heading does.
            text = re.sub(r"^\*\*[^*]+\.\*\* *", "", text)
            text = re.sub(r"^Path: \*[^.]*(\.|$)( Pure[^.]*\.)?", "", text)
            first = first if run else number
            run.append(re.sub(r"^(SAFETY|Cost|MSRV): *", "", text))


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    chosen = [pathlib.Path(argument).resolve() for argument in sys.argv[1:]]
    chosen = chosen or [root / name for name in ("README.md", "docs", "alloc-profiler", "pprof-server", "demo-leak", "tests")]
    files = [file for path in chosen for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
             if file.suffix in SUFFIXES and not {"target", "node_modules"} & set(file.parts)]
    count = 0
    for file in files:
        for first, lines in paragraphs(file):
            for offset, sentence in sentences(lines):
                if not has_verb(sentence) and " ".join(sentence.split()) not in ALLOWED:
                    count += 1
                    name = file.relative_to(root) if file.is_relative_to(root) else file
                    print(f"{name}:{first + offset}: {' '.join(sentence.split())}")
    print(f"check-sentences: {count} candidates in {len(files)} files", file=sys.stderr)
    sys.exit(count > 0)


main()
