"""What every stage stands on: settings from params.yaml, files written whole, one error."""
