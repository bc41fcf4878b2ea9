"""Runs stages of dvc.yaml in one process: `python whole_study.py STAGE...`.

TensorFlow takes longer to start than a study of a few steps.
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
