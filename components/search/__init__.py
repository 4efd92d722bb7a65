"""Search over recipes: spaces in text form, trials in an Optuna study. The one door to optuna (study, pictures)."""
