"""Runs the stages of dvc.yaml that are named: `python whole_study.py STAGE...`, in that order.

In one process, by the dispatcher that dvc.yaml's commands call: what takes longest in a study of a
few steps is to start TensorFlow, which a process for each stage would do fourteen times.
"""

import os
import sys
from pathlib import Path

import declared

sys.path.insert(0, os.getcwd())
from pipeline import __main__ as dispatcher

if __name__ == "__main__":
    stages = declared.stages(Path())
    for name in sys.argv[1:]:
        dispatcher.main(stages[name].command.split()[3:])  # less `python -m pipeline`
