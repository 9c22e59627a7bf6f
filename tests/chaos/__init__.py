"""What happens to LoRA Craft when things break, at real sizes: `make chaos`, or `python -m tests.chaos [NAME ...]`.

A scenario is a module here with a function `run(**options) -> dict`. What it returns is written to
reports/reliability.json as it is; these keys are also shown: "load" (words), "faults" (survived), "bad_inputs" (tried),
"lost" (what had been acknowledged and is not there; must be 0) and "passed".
"""
