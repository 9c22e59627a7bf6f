"""One of several processes that claim the same sessions in the same order, and print which of them they got."""

# ruff: noqa: E402, T201
import json
import sys

import django

django.setup()

from training import lifecycle


def main() -> None:
    print("ready", flush=True)
    ids = json.loads(sys.stdin.readline())
    print(json.dumps([each for each in ids if lifecycle.claim(each)]))


if __name__ == "__main__":
    main()
