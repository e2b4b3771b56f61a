"""Makes the Python stubs of the package nuncio.v1 from the proto files of this repository.

Usage: python make_stubs.py OUTDIR
"""

import pathlib
import sys

import grpc_tools
from grpc_tools import protoc

PROTO = pathlib.Path(__file__).resolve().parents[3] / "proto"


def main(argv: list[str]) -> int:
    if len(argv) != 2 or argv[1].startswith("-"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    out = pathlib.Path(argv[1])
    out.mkdir(parents=True, exist_ok=True)
    files = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    if not files:
        print(f"no proto files in {PROTO}", file=sys.stderr)
        return 1
    # The proto files of google.protobuf come with grpcio-tools.
    well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    return protoc.main(
        [
            "protoc",
            f"--proto_path={PROTO}",
            f"--proto_path={well_known}",
            f"--python_out={out}",
            f"--grpc_python_out={out}",
            *files,
        ]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv))
