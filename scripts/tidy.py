#!/usr/bin/env python3
"""House rules that neither the compiler nor clang-tidy knows.

  scripts/tidy.py [--accept-long]

Checks pkg/ and cmd/ (tests/ for the words only) and prints file:line: message for each finding;
exit code 1 if there is one. A line that must break a word rule says `tidy: allow(<rule>)` with the
reason in a comment. Functions longer than 70 lines are known by name in scripts/long_functions.txt:
the list may only shrink. --accept-long writes it anew.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LONG_LIST = ROOT / "scripts/long_functions.txt"
LINE_COLUMNS_MAX = 100
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 800

# rule, pattern on code without comments and strings, message, folders where it is right
WORDS = [
    ("sleep", r"\bsleep_(for|until)\b|\b(u|nano)?sleep\s*\(", "wait on a condition with a deadline", ()),
    ("detach", r"\.detach\(\)", "every thread is joined by its owner", ()),
    ("regex", r"\bstd::regex\b|#include <regex>", "std::regex is slow to compile and to run", ()),
    ("throw", r"\bthrow\b", "return a Result", ()),
    ("using-namespace", r"\busing namespace\b(?!\s+std::(string_view_|string_|chrono_)?literals)", "name what you use", ()),
    ("fork", r"\bv?fork\s*\(", "processes are started in pkg/os", ("pkg/os", "cmd/shim")),
    ("mutex", r"\bstd::(recursive_|shared_)?mutex\b|\bstd::(lock_guard|unique_lock|scoped_lock)\b",
     "use base/mutex.h, which the thread-safety check understands", ("pkg/base",)),
    ("thread", r"\bstd::thread\b(?!::hardware_concurrency)", "use base/thread.h", ("pkg/base",)),
]

# header pattern, folders that may include it
INCLUDES = [
    (r"<sqlite3\.h>", ("pkg/store",)),
    (r"<httplib\.h>", ("pkg/http",)),
    (r"<curl/", ("pkg/http",)),
    (r"<openssl/", ("pkg/pki", "pkg/http")),
    (r"<yyjson\.h>", ("pkg/json",)),
    (r"<yaml-cpp/", ("pkg/json",)),
    (r"<spdlog/", ("pkg/base",)),
    (r"<CLI/", ("cmd/wherry",)),
    (r"<seccomp\.h>", ("pkg/container",)),
]

BAD_NAMES = re.compile(r"(^|_)(manager|util|utils|helper|helpers|common|misc)$")
# Forms that the generic verbs themselves read and answer with are no resources' kinds.
KIND_BRANCH = re.compile(r"\bkind(_|\(\))?\s*[!=]=\s*\"(?!(Scale|Status|DeleteOptions|Eviction)\")[A-Z]")
GENERIC_FOLDERS = ("pkg/apiserver", "pkg/store", "pkg/client", "pkg/json", "pkg/http")

findings = []


def report(path, line, message):
    findings.append(f"{path.relative_to(ROOT)}:{line}: {message}")


def blank_out(text, keep_strings=False):
    """The code with comments (and strings) replaced by blanks, line by line."""
    pattern = re.compile(
        r"//[^\n]*|/\*.*?\*/|R\"([^(\s]{0,16})\(.*?\)\1\"|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])+'", re.S)

    def blank(match):
        piece = match.group(0)
        if piece[0] == "'" and len(piece) > 8:
            return piece  # A digit separator matched something that is no character.
        if keep_strings and piece[0] in "\"R'":
            return piece
        return re.sub(r"[^\n]", " ", piece)

    return pattern.sub(blank, text)


def layers():
    table = {}
    for line in (ROOT / "pkg/README.md").read_text().splitlines():
        match = re.fullmatch(r"layer (\d): ([a-z_ ]+)", line)
        if match:
            table.update({folder: int(match.group(1)) for folder in match.group(2).split()})
    return table


def folder_of(path):
    return "/".join(path.relative_to(ROOT).parts[:2])


def check_layers(path, number, line, layer_of):
    match = re.match(r'#include "([a-z_]+)/', line)
    if not match:
        return
    top, own = path.relative_to(ROOT).parts[:2]
    other = match.group(1)
    if top == "cmd" or own == other or (top == "cmd" and other == own):
        return
    if other not in layer_of:
        report(path, number, f'"{other}/" is no folder of pkg/README.md')
    elif layer_of[other] >= layer_of.get(own, 0):
        report(path, number, f"{own} (layer {layer_of.get(own)}) includes {other} (layer {layer_of[other]})")


def check_words(path, raw, code):
    folder = folder_of(path)
    for number, line in enumerate(code.splitlines(), 1):
        source = raw[number - 1] if number <= len(raw) else ""
        for rule, pattern, message, right in WORDS:
            if folder in right or not re.search(pattern, line):
                continue
            if f"tidy: allow({rule})" not in source:
                report(path, number, f"{message} [{rule}]")


def raw_string_lines(text):
    """The numbers of the lines that raw strings touch: documents of others, which have their width."""
    found = set()
    for match in re.finditer(r'R"([^(\s]{0,16})\(.*?\)\1"', text, re.S):
        first = text.count("\n", 0, match.start()) + 1
        found.update(range(first, first + match.group(0).count("\n") + 1))
    return found


def check_lines(path, text, raw):
    documents = raw_string_lines(text)
    for number, line in enumerate(raw, 1):
        # Columns as clang-format counts them: characters, not bytes. It cannot break a long literal.
        if (len(line) > LINE_COLUMNS_MAX and "http" not in line and "#include" not in line
                and number not in documents):
            report(path, number, f"{len(line)} columns; the limit is {LINE_COLUMNS_MAX}")
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
            report(path, number, "unfinished work is Code::kUnsupported and a line in the README")
        if line != line.rstrip():
            report(path, number, "blanks at the end of the line")


def check_includes(path, number, line):
    folder = folder_of(path)
    for pattern, right in INCLUDES:
        if re.search(r"#include " + pattern, line) and folder not in right:
            report(path, number, f"only {' and '.join(right)} includes {pattern.replace(chr(92), '')}")


def long_functions(path, code):
    """Yields (first line, name, lines) of definitions, trusting clang-format's indentation."""
    lines = code.splitlines()
    start = None
    for number, line in enumerate(lines):
        opens = re.match(r"( *)(\S.*)?\{\s*$", line)
        if start is None and opens and len(opens.group(1)) <= 4:
            first = number
            while first > 0 and lines[first - 1].strip() and not re.search(r"[;{}:]\s*$", lines[first - 1]):
                first -= 1
            head = " ".join(part.strip() for part in lines[first:number + 1])
            if re.search(r"\b(namespace|class|struct|enum|union|extern)\b", head.split("(")[0]) or "(" not in head:
                continue
            indent = len(lines[first]) - len(lines[first].lstrip())
            name = re.search(r"([~\w:]+|operator\S+)\s*\(", head)
            start = (first, indent, name.group(1) if name else "?")
        elif start is not None and re.match(" " * start[1] + r"\}", line):
            yield start[0] + 1, start[2], number - start[0] + 1
            start = None


def check_file(path, layer_of, includes, long_found):
    text = path.read_text()
    raw = text.splitlines()
    code = blank_out(text)
    top = path.relative_to(ROOT).parts[0]
    check_words(path, raw, code)
    check_lines(path, text, raw)
    if top == "tests":
        return
    for number, line in enumerate(raw, 1):
        if line.startswith("#include"):
            includes.update(re.findall(r'"(\S+)"', line))
            check_includes(path, number, line)
            if path.suffix in (".cc", ".h"):
                check_layers(path, number, line, layer_of)
    if path.suffix == ".h" and "#pragma once" not in text:
        report(path, 1, "a header starts with #pragma once")
    if BAD_NAMES.search(path.stem):
        report(path, 1, "the name says nothing about what the file is for")
    if len(raw) > FILE_LINES_MAX and not path.stem.endswith("_test"):
        print(f"note: {path.relative_to(ROOT)} has {len(raw)} lines; has it outgrown one idea?")
    if folder_of(path) in GENERIC_FOLDERS and not path.stem.endswith("_test"):
        for number, line in enumerate(blank_out(text, keep_strings=True).splitlines(), 1):
            if KIND_BRANCH.search(line) and "tidy: allow(kind)" not in raw[number - 1]:
                report(path, number, "generic code does not branch on a kind's name [kind]")
    if not path.stem.endswith("_test"):
        for number, name, lines in long_functions(path, code):
            if lines > FUNCTION_LINES_MAX:
                long_found[f"{path.relative_to(ROOT)} {name}"] = (path, number, lines)


def check_long(long_found, accept):
    if accept:
        LONG_LIST.write_text("".join(f"{key}\n" for key in sorted(long_found)))
        return
    known = set(LONG_LIST.read_text().splitlines()) if LONG_LIST.exists() else set()
    for key in sorted(set(long_found) - known):
        path, number, lines = long_found[key]
        report(path, number, f"{key.split()[1]} has {lines} lines; the limit is {FUNCTION_LINES_MAX}")
    for key in sorted(known - set(long_found)):
        findings.append(f"{LONG_LIST.relative_to(ROOT)}: {key} is short now: take it off the list")


def main():
    layer_of = layers()
    includes = set()
    long_found = {}
    files = [path for top in ("pkg", "cmd", "tests") for path in sorted((ROOT / top).rglob("*"))
             if path.suffix in (".cc", ".h", ".c") and path.is_file()]
    for path in files:
        check_file(path, layer_of, includes, long_found)
    for path in files:
        parts = path.relative_to(ROOT).parts
        if path.suffix == ".h" and parts[0] == "pkg" and "/".join(parts[1:]) not in includes:
            report(path, 1, "nobody includes this header")
    check_long(long_found, "--accept-long" in sys.argv)
    print("\n".join(findings) if findings else f"tidy: {len(files)} files are in order")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
