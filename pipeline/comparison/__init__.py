"""Stage compare: all variants side by side, and beside the study's published figures."""
