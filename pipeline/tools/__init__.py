"""Operating DVC: what checks, plans, repeats and guards the stages. No stage imports it."""
