"""Lists the members of an NPZ file with type and shape: describe_npz.py FILE.npz OUT.txt"""

import ast
import sys
import zipfile


def header(member):
    """The dictionary at the head of an NPY file, versions 1 to 3."""
    magic = member.read(8)
    if magic[:6] != b"\x93NUMPY":
        raise SystemExit("not an NPY member")
    length = int.from_bytes(member.read(2 if magic[6] == 1 else 4), "little")
    return ast.literal_eval(member.read(length).decode("utf-8"))


source, target = sys.argv[1:]
with zipfile.ZipFile(source) as archive, open(target, "w", encoding="utf-8") as out:
    for name in archive.namelist():
        with archive.open(name) as member:
            head = header(member)
        print(name.removesuffix(".npy"), head["descr"], head["shape"], file=out)
        print("listed", name)
