#!/usr/bin/env python3
"""Runs every command of docs/cookbook.md, in its order, in one shell, and compares what is printed with what the page shows.

    examples/with-server.sh -- examples/cookbook/run.py            # compares
    examples/with-server.sh -- examples/cookbook/run.py --write    # writes the answers into the page

A block of `sh` is run; the block behind it, of `json` or `text`, is its answer. A line `…` stands for any lines. Ids that
the server makes, times of now, etags and tokens are different each time, so they are compared as such.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "cookbook.md"
BLOCKS = re.compile(r"^```sh\n(?P<command>.*?)^```\n(?:\n```(?:json|text)\n(?P<answer>.*?)^```\n)?", re.MULTILINE | re.DOTALL)
# What is different each time, and what stands for it in the page: real values of one run.
CHANGING = [
    ("id", re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b")),
    ("time", re.compile(r'(?<="(?:create|update|upload|expire)Time": ")[^"]+')),
    ("etag", re.compile(r'(?<="etag": ")[^"]+')),
    ("etag", re.compile(r'(?<="detectionEtag": ")[^"]+')),
    ("token", re.compile(r'(?<="nextPageToken": ")[^"]+|(?<="resumeToken": ")[^"]+')),
    ("position", re.compile(r'(?<="lsn": ")[^"]+')),
    ("version", re.compile(r'(?<="serverVersion": ")[^"]+')),
]


def same(text):
    """The text with a word for everything that is different each time."""
    for word, pattern in CHANGING:
        text = pattern.sub(f"<{word}>", text)
    return text.strip()


def fits(shown, printed):
    """Whether what was printed is what is shown, lines of `…` standing for any."""
    parts = [re.escape(same(part)) for part in re.split(r"^\s*…\n?", shown, flags=re.MULTILINE)]
    return re.fullmatch(r"\s*(?:.*\n)*?\s*".join(parts), same(printed)) is not None


def run(commands):
    """What each command prints, and its exit status."""
    with tempfile.TemporaryDirectory() as folder:
        script = ["set -o pipefail"]
        for number, command in enumerate(commands):
            script.append(f"{{\n{command}\n}} >{folder}/{number} 2>&1 </dev/null\necho $? >{folder}/{number}.status")
        path = f"{ROOT / 'examples' / 'cookbook'}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "PHOTOMETA_PROTO": str(ROOT / "proto"), "HOME": folder}
        subprocess.run(["bash"], input="\n".join(script), text=True, env=environment, cwd=folder, check=True)
        files = [pathlib.Path(folder, str(number)) for number in range(len(commands))]
        return [(file.read_text(), int(file.with_suffix(".status").read_text())) for file in files]


def main():
    page = PAGE.read_text()
    blocks = list(BLOCKS.finditer(page))
    results = run([block["command"] for block in blocks])
    wrong, written, end = 0, "", 0
    for block, (printed, status) in zip(blocks, results):
        shown = block["answer"]
        refused = printed.startswith("ERROR:")
        if (status != 0) != refused or (shown is None and printed.strip()):
            wrong += 1
            print(f"--- status {status}:\n{block['command']}{printed}", file=sys.stderr)
        elif shown is not None and not fits(shown, printed):
            if "--write" in sys.argv:
                written += page[end : block.start("answer")] + printed.rstrip("\n") + "\n"
                end = block.end("answer")
                continue
            wrong += 1
            print(f"--- this command:\n{block['command']}--- should answer:\n{shown}--- and answers:\n{printed}", file=sys.stderr)
    if "--write" in sys.argv:
        PAGE.write_text(written + page[end:])
    answered = sum(block["answer"] is not None for block in blocks)
    print(f"docs/cookbook.md: {len(blocks)} commands were run, {answered} answers compared, {wrong} wrong")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
