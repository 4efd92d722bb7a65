"""What a comparison's tables rest on, in words: weights, images, networks, regimes, rates."""

from components.report.comparison import Comparison
from components.training.records import Recipe

NETWORKS = {"vit": "ViT", "compact-vit": "compact ViT", "resnet18": "ResNet-18", "vgg16": "VGG-16"}


def origin(comparison: Comparison) -> str:
    """What every table's figures rest on: weights, images, seeds, hardware."""
    scratch = [m.name for m in comparison.models if not m.elsewhere]
    brought = [f"{m.name} ({m.elsewhere})" for m in comparison.models if m.elsewhere]
    said = [
        "All models trained from scratch on the dataset's Training split alone."
        if not brought
        else f"With weights or a teacher from elsewhere: {', '.join(brought)}. From scratch on the dataset's Training "
        f"split alone: {', '.join(scratch) or 'none'}.",
        f"{comparison.split}, n = {comparison.n:,}; seed{'s' * (len(comparison.seeds) > 1)} "
        f"{', '.join(map(str, comparison.seeds))}.",
        f"Hardware: {'; '.join(comparison.hardware)}.",
    ]
    return " ".join(said)


def doubt(comparison: Comparison) -> str:
    """What stands in brackets."""
    if len(comparison.seeds) == 1:
        return "Images: 95 % bootstrap interval over the test images."
    return (
        "Mean over the seeds; seeds: least to greatest over them; images: 95 % bootstrap interval of that mean over "
        "the test images, the seeds held fixed."
    )


def data_words(comparison: Comparison) -> str:
    """What the models learned from."""
    if comparison.same_data:
        first = _sample_words(comparison.models[0].recipe)
        return f"Under each seed all models learn from the same balanced sample of Training: {first}."
    learned: dict[str, list[str]] = {}
    for model in comparison.models:
        learned.setdefault(_sample_words(model.recipe), []).append(model.name)
    own = ". ".join(f"{', '.join(names)}: {words}" for words, names in learned.items())
    return f"The models learn from different samples of Training. {own}."


def _sample_words(recipe: Recipe) -> str:
    data, balance = recipe.data, recipe.balance
    how = {
        "none": "images as they come",
        "paper": f"large classes cut to {100 * balance.max_class_limit:.0f} % of the largest, small ones repeated up "
        f"to {balance.oversample_factor:g} times",
        "sampler": f"small classes drawn more often, power {balance.sampler_power:g}",
    }[balance.method]
    left = [
        words
        for words, value in (
            ("those whose pixels also stand in a test split", data.leaked),
            ("those that nearly equal a test image", data.near_leaked),
            ("identical ones that disagree about the label", data.conflicts),
        )
        if value == "remove"
    ]
    if data.copies == "first":
        left.append("further copies")
    if data.exclude:
        left.append("those of an exclusion list")
    return f"{how}; left out are {', '.join(left) if left else 'no images'}"


def replaced_words(comparison: Comparison) -> str:
    """What presets would have learned from by themselves; empty where each learned from its own."""
    if not comparison.replaced:
        return ""
    own = "; ".join(f"{name}'s {', '.join(settings)}" for name, settings in comparison.replaced.items())
    return (
        f"So that all learn from the same images, the data and balance of {comparison.models[0].name} stand in place "
        f"of presets' own: {own}. With --own-data each keeps its own."
    )


def network_words(recipe: Recipe) -> str:
    """`ViT, 6 layers of 192, patch 6, 48 px`."""
    model = recipe.model
    if model.pretrained and model.name == "vit":  # its weights decide the rest
        return f"{NETWORKS[model.name]}, {model.image_size} px"
    inside = {
        "vit": f", {model.depth} layers of {model.width}, patch {model.patch_size}",
        "compact-vit": f", {model.depth} layers of {model.width}",
        "vgg16": "" if model.cnn_width == 1 else f", {model.cnn_width:g} of the channels",
    }.get(model.name, "")
    return f"{NETWORKS[model.name]}{inside}, {model.image_size} px"


def start_words(recipe: Recipe, elsewhere: str) -> str:
    """What the weights are before the first label. elsewhere: as a ModelFigures has it."""
    begun = elsewhere or "from scratch"
    if not recipe.pretrain.epochs:
        return begun
    return f"{begun}{';' if elsewhere else ','} {recipe.pretrain.epochs} epochs of masked pretraining"


def regime_words(recipe: Recipe) -> str:
    """The paper's name of a regime."""
    if recipe.regime == "head":
        return "baseline: the head alone"
    if recipe.regime == "partial":
        return f"partial: the head and the top {recipe.top_blocks} blocks"
    if recipe.schedule.warmup_epochs:
        return f"full, warm-up and then {recipe.schedule.after}"
    return "full"


def rate_words(recipe: Recipe) -> str:
    """`0.0001 to 0.001` where a warm-up raises it."""
    rate, schedule = recipe.optimizer.lr, recipe.schedule
    peak = rate * schedule.multiplier if schedule.warmup_epochs else rate
    return f"{rate:g}" if peak == rate else f"{rate:g} to {peak:g}"
