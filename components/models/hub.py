"""A hub model's files on this machine, for a store that an air-gapped site reads."""

from pathlib import Path

from components.errors import ModelNotFound

FILES = ("config.json", "model.safetensors", "preprocessor_config.json", "README.md", "LICENSE*")


def snapshot(name: str, revision: str | None = None) -> Path:
    """Folder in the hub's layout: a local one that `name` leads to, or a download by hub id and revision.

    Raises ModelNotFound where the hub cannot be reached, knows no such model, or has no safetensors of it.
    """
    local = Path(name).expanduser()
    if local.is_dir():
        return _whole(local, name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(name, revision=revision, allow_patterns=list(FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError, OSError, ValueError) as error:
        raise ModelNotFound(
            f"cannot fetch {name!r} from the model hub: {str(error).splitlines()[0]}\n"
            "Run this where the hub can be reached, or name a local folder with config.json and model.safetensors."
        ) from error
    return _whole(Path(folder), name)


def _whole(folder: Path, name: str) -> Path:
    missing = [file for file in FILES[:2] if not (folder / file).is_file()]
    if missing:
        raise ModelNotFound(f"{name} lacks {' and '.join(missing)}: weights are taken as safetensors alone.")
    return folder
