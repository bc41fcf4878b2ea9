"""What can stop a stage or tell about it, but never reaches the bytes of an output.

Values are passed on as they are read and written as they are given; everything else raises
PipelineError. So no stage of dvc.yaml depends on this folder, and a reworded message or a moved
checkpoint reruns nothing. tests/test_cache_keys.py holds the contract.
"""
