"""python -m serve --release release --port 8000"""

import argparse
from pathlib import Path

from genga.door import run
from serve.server import serve


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m serve", description="Serve the page and the API from a release.")
    parser.add_argument("--release", type=Path, default=Path("release"))
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--review", type=Path)
    args = parser.parse_args()
    serve(args.release, args.host, args.port, args.review)


if __name__ == "__main__":
    run(main)
