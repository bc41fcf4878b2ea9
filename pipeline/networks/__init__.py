"""The topologies: a file each, found by the name that a variant gives."""
