#!/usr/bin/env python3
"""What cargo's own data say of the crates in the program.

  .ci/supply_chain.py rust               no crate asks for a newer Rust than Cargo.toml promises
  .ci/supply_chain.py licences           deploy/licences.txt says what is in the program
  .ci/supply_chain.py licences --write   writes it
  .ci/supply_chain.py sbom FILE          the CycloneDX file has all of those crates that this system needs
"""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LICENCES = ROOT / "deploy" / "licences.txt"
# As in deny.toml.
TARGETS = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "x86_64-apple-darwin", "aarch64-apple-darwin"]
HEAD = """\
# The crates in the program photometa, of whatever system, with their licences as they state them.
# Written by `just licences`; CI compares it.
"""


def is_macro(package):
    """Runs in the compiler alone, with all that it needs."""
    return any("proc-macro" in target["kind"] for target in package["targets"])


def host():
    said = subprocess.run(["rustc", "-vV"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return next(line.split()[1] for line in said.splitlines() if line.startswith("host: "))


def packages(kinds, targets=TARGETS):
    """The crates that photometa's kinds of dependencies (None: of the program, "build", "dev") come to, it included."""
    found = {}
    for target in targets:
        command = ["cargo", "metadata", "--locked", "--format-version=1", "--filter-platform", target]
        data = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
        by_id = {package["id"]: package for package in data["packages"]}
        nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
        (first,) = (package["id"] for package in data["packages"] if package["name"] == "photometa")
        waiting, seen = [first], set()
        while waiting:
            identity = waiting.pop()
            if identity in seen:
                continue
            seen.add(identity)
            package = by_id[identity]
            if kinds == {None} and is_macro(package):
                continue
            found[package["name"], package["version"]] = package
            for dependency in nodes[identity]["deps"]:
                used = {kind["kind"] for kind in dependency["dep_kinds"]}
                # What a dependency needs for its own tests is not ours.
                if used & (kinds if identity == first else kinds - {"dev"}):
                    waiting.append(dependency["pkg"])
    return [found[key] for key in sorted(found)]


def number(version):
    return tuple(int(part) for part in (version.split(".") + ["0", "0"])[:3])


def rust():
    everything = packages({None, "build", "dev"})
    (promised,) = (package["rust_version"] for package in everything if package["name"] == "photometa")
    newer = [
        f"{package['name']} {package['version']} needs Rust {package['rust_version']}"
        for package in everything
        if package["rust_version"] and number(package["rust_version"]) > number(promised)
    ]
    silent = sum(1 for package in everything if not package["rust_version"])
    if newer:
        sys.exit(f"Cargo.toml promises Rust {promised}, but\n  " + "\n  ".join(newer))
    print(f"Rust {promised} is enough for {len(everything)} crates, {silent} of which do not say")


def licences(write):
    listed = [package for package in packages({None}) if package["name"] != "photometa"]
    lines = [f"{package['name']} {package['license'] or 'in a file of its own'}\n" for package in listed]
    text = HEAD + "".join(sorted(set(lines)))
    if write:
        LICENCES.write_text(text)
    elif not LICENCES.exists() or LICENCES.read_text() != text:
        sys.exit("deploy/licences.txt is not what is in the program; look at what is new, and run `just licences`")
    print(f"{len(set(lines))} crates in the program; deploy/licences.txt lists them")


def sbom(file):
    listed = {(part["name"], part["version"]) for part in json.loads(pathlib.Path(file).read_text())["components"]}
    needed = [package for package in packages({None}, [host()]) if package["name"] != "photometa"]
    missing = [f"{p['name']} {p['version']}" for p in needed if (p["name"], p["version"]) not in listed]
    if missing:
        sys.exit(f"{file} lacks {', '.join(missing)}")
    print(f"{len(listed)} crates listed; the program's {len(needed)} are among them")


if __name__ == "__main__":
    asked = sys.argv[1:]
    if asked == ["rust"]:
        rust()
    elif asked in (["licences"], ["licences", "--write"]):
        licences(write=len(asked) == 2)
    elif len(asked) == 2 and asked[0] == "sbom":
        sbom(asked[1])
    else:
        sys.exit(__doc__)
