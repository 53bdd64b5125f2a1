"""Unpack the tests of the installed transformers' source archive: `fetch_transformers_source.py FOLDER`.

The wheel has no tests; the source archive of the same version on the package index has.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path


def main() -> None:
    folder = Path(sys.argv[1])
    wanted = version("transformers")
    stamp = folder / "VERSION"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    with tempfile.TemporaryDirectory() as download:
        options = ["--quiet", "--no-deps", "--no-binary", ":all:", "--dest", download]
        subprocess.run([sys.executable, "-m", "pip", "download", *options, f"transformers=={wanted}"], check=True)
        (archive,) = Path(download).glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            for member in tar:
                # transformers-X/tests/test_modeling_common.py -> FOLDER/tests/test_modeling_common.py
                member.name = member.name.partition("/")[2]
                if member.isfile() and member.name.startswith("tests/"):
                    tar.extract(member, folder, filter="data")
    stamp.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    main()
