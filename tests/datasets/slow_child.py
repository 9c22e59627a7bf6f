"""`python -m tests.datasets.slow_child STEPS SECONDS` prints a line, waits, prints the next one, …"""

import json
import sys
import time


def main(steps: int, seconds: float) -> None:
    for step in range(1, steps + 1):
        sys.stdout.write(json.dumps({"at": step}) + "\n")
        sys.stdout.flush()
        if step < steps:
            time.sleep(seconds)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
