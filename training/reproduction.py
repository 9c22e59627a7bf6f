"""A session made again from its run manifest: what it needs is found here, or named; what differs here is said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from datasets_app.models import DatasetVersion
from rewards import presets
from rewards.composition import Composition
from training import base_models, devices, fallbacks, lifecycle, readiness
from training.engine import environment, model_files
from training.manifest_schema import FORMAT, FORMAT_VERSION, DatasetWas, Manifest, ModelWas
from training.models import Session
from training.schema import SessionConfig

if TYPE_CHECKING:
    from accounts.models import AnyUser, Team

# Larger models are compared by name and size of their files, unless whoever asks has the time: reading takes a second
# for each gigabyte or two. The trainer records the sums either way.
BYTES_READ_AT_ONCE = 2_000_000_000
MOST_PROBLEMS = 10
HARDWARE = {
    "device": "device",
    "name": "GPU",
    "memory": "GPU memory",
    "cpu": "processor",
    "cpu_count": "number of processors",
    "cpu_bf16": "bfloat16 arithmetic of the processor",
}


class NotReproducible(Exception):
    """`problems`: sentences that say what is missing or other than it was."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems


@dataclass
class Plan:
    """The config of the new session, and what will not be as it was."""

    config: dict[str, Any]
    warnings: list[str] = field(default_factory=list)


def reproduce(
    team: Team, by: AnyUser | None, manifest: dict[str, Any], *, model: str = "", read_all: bool = False
) -> tuple[Session, list[str]]:
    """A draft with the same config, seeds, rows, reward and model, and the warnings. `model` says where the base model
    lies now. Raises NotReproducible."""
    was = parsed(manifest)
    plan = planned(team, was, model=model, read_all=read_all)
    name = was.session.name or lifecycle.UNTITLED
    origin: dict[str, Any] = {
        "cloned_from": Session.objects.filter(team=team, pk=was.session.id).first(),
        "reproduces": {
            "session_id": str(was.session.id),
            "name": name[:200],
            "rewards": was.results.rewards.model_dump() if was.results.rewards else None,
        },
    }
    session = lifecycle.create_draft(team, by, name=f"{name[:190]} (again)", config=plan.config, **origin)
    return session, plan.warnings


def planned(team: Team, manifest: Manifest, *, model: str = "", read_all: bool = False) -> Plan:
    """Raises NotReproducible with everything that is wrong."""
    plan = Plan(config=config_of(manifest))
    found = [
        *place_dataset(team, manifest, plan),
        *place_reward(team, manifest, plan),
        *place_model(manifest, plan, model, read_all),
    ]
    if not found:
        found = not_ready(team, plan)
    if found:
        raise NotReproducible(found)
    plan.warnings += [*version_warnings(manifest), *hardware_warnings(manifest), *history_warnings(manifest, plan)]
    return plan


def parsed(content: dict[str, Any]) -> Manifest:
    if content.get("format") != FORMAT:
        raise NotReproducible(["This file is no run manifest. Download one from the page of a session."])
    if content.get("format_version") != FORMAT_VERSION:
        raise NotReproducible(
            [f"The manifest has the format version {content.get('format_version')!r}; this program reads version 1."]
        )
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        found = [f"The manifest is damaged: {each.field}: {each.message}" for each in readiness.schema_problems(error)]
        raise NotReproducible(found[:MOST_PROBLEMS]) from None


def config_of(manifest: Manifest) -> dict[str, Any]:
    try:
        return SessionConfig.model_validate(manifest.config).model_dump(mode="json")
    except ValidationError as error:
        found = readiness.schema_problems(error)
        raise NotReproducible([f"The manifest's config: {each.field}: {each.message}" for each in found]) from None


def not_ready(team: Team, plan: Plan) -> list[str]:
    try:
        readiness.check(team, plan.config)
    except readiness.NotReady as error:
        return [f"{problem.field}: {problem.message}" for problem in error.problems]
    return []


# Dataset


def place_dataset(team: Team, manifest: Manifest, plan: Plan) -> list[str]:
    was = manifest.dataset
    same = list(
        DatasetVersion.objects.filter(dataset__team=team, sha256=was.sha256, accepted=True)
        .select_related("dataset")
        .order_by("-number")
    )
    named = f"{was.dataset} v{was.version}"
    if not same:
        return [
            f"{team} has no dataset with the rows of {named} (sha256 {was.sha256[:12]}…, {was.rows} rows)."
            " Import the same rows first; the name does not matter."
        ]
    usable = [version for version in same if not other_parts(was, version)]
    if not usable:
        return [f"{same[0]} has the rows of {named}, but not its {' and '.join(other_parts(was, same[0]))}."]
    chosen = next((version for version in usable if str(version.dataset_id) == was.dataset_id), usable[0])
    plan.config["dataset"]["source"] = f"{chosen.dataset_id}@{chosen.number}"
    if str(chosen) != named:
        plan.warnings.append(f"The rows of {named} are here as {chosen}.")
    return []


def other_parts(was: DatasetWas, version: DatasetVersion) -> list[str]:
    """What makes other training rows of the same file."""
    return [name for name in ("mapping", "split") if told(getattr(was, name)) != told(getattr(version, name))]


def told(values: dict[str, Any]) -> dict[str, Any]:
    """Without what is not set, and without who chose it."""
    return {key: value for key, value in values.items() if value and key != "chosen"}


# Reward


def place_reward(team: Team, manifest: Manifest, plan: Plan) -> list[str]:
    """The preset by its name where it still is what it was, else its parts as the manifest has them."""
    was = manifest.reward.composition
    try:
        composition = Composition.model_validate(was).model_dump(mode="json")
    except ValidationError as error:
        found = readiness.schema_problems(error)
        return [f"The manifest's reward can't be used here: {each.field}: {each.message}" for each in found]
    section = plan.config["reward"]
    if section["type"] == "preset" and todays(team, section["preset_name"]) == composition:
        return []
    if section["type"] == "preset":
        plan.warnings.append(changed_preset(manifest, section["preset_name"]))
    section |= {"type": "custom", **composition}
    return []


def todays(team: Team, slug: str) -> dict[str, Any] | None:
    try:
        return presets.named(team, slug).model_dump(mode="json")
    except presets.PresetMissing:
        return None


def changed_preset(manifest: Manifest, slug: str) -> str:
    preset = manifest.reward.preset or {}
    version = f" (version {preset['version']})" if preset.get("version") else ""
    return f"The reward preset {slug} is not what it was{version}: the parts of the manifest are used."


# Model


def place_model(manifest: Manifest, plan: Plan, given: str, read_all: bool) -> list[str]:
    was, section = manifest.model, plan.config["model"]
    section["name"] = name = given or section["name"]
    if was.commit and not section["revision"] and not base_models.is_folder(name):
        # What is newest on the hub may be another one by now.
        section["revision"] = was.commit
    if problem := base_models.problem(name):
        moved = " It lay in a folder of its own: put it there, or say where it is." if was.own_folder else ""
        return [f"The base model: {problem}{moved}"]
    return compare_model(was, plan, read_all)


def compare_model(was: ModelWas, plan: Plan, read_all: bool) -> list[str]:
    section, recorded = plan.config["model"], was.fingerprint
    if recorded is None:
        plan.warnings.append("The manifest has no sums of the model's files: whether they are the same is not known.")
        return []
    folder = model_files.folder_of(base_models.locate(section["name"]), section["revision"])
    if folder is None:
        plan.warnings.append(f"{section['name']} is not on this machine yet: its files could not be compared.")
        return []
    read = read_all or model_files.bytes_of(folder) <= BYTES_READ_AT_ONCE
    if other := model_files.differing(recorded.model_dump(), folder, read=read):
        return [f"{section['name']} is another model than it was. These files differ: {', '.join(other[:10])}."]
    if not read:
        plan.warnings.append("The model is large: its files were compared by name and size alone.")
    return []


# What is other here


def newest(manifest: Manifest, part: str) -> dict[str, Any]:
    told = [getattr(attempt, part) for attempt in manifest.attempts if getattr(attempt, part)]
    return told[-1] if told else {}


def version_warnings(manifest: Manifest) -> list[str]:
    was = newest(manifest, "versions")
    if not was:
        return ["The manifest does not say which versions it was trained with."]
    now = environment.versions()
    lines = [
        f"{name}: {was.get(name, 'not installed')} then, {now.get(name, 'not installed')} here."
        for name in sorted(was.keys() | now.keys())
        if was.get(name) != now.get(name)
    ]
    return [*program_warnings(newest(manifest, "program")), *lines]


def program_warnings(was: dict[str, Any]) -> list[str]:
    now = environment.program()
    lines = [
        f"LoRA Craft's {key}: {str(was[key])[:10]} then, {str(now[key])[:10]} here."
        for key in ("version", "commit")
        if was.get(key) and now[key] and was[key] != now[key]
    ]
    return [*lines, *(["It was trained by a checkout with changed files."] if was.get("changed") else [])]


def hardware_warnings(manifest: Manifest) -> list[str]:
    was = newest(manifest, "hardware")
    if not was:
        return ["The manifest does not say what hardware it was trained on."]
    device = devices.detect()
    here = {"device": device.kind, "name": device.name, "memory": device.memory, **environment.processor()}
    return [
        f"Another {words}: {was.get(key) or 'none'} then, {here[key] or 'none'} here."
        for key, words in HARDWARE.items()
        if (was.get(key) or None) != (here[key] or None)
    ]


def history_warnings(manifest: Manifest, plan: Plan) -> list[str]:
    """What made of the first run something that no config says, unless it happens here, too."""
    attempts = manifest.attempts
    lines = [f"It took {len(attempts)} attempts, with checkpoints between them."] if len(attempts) > 1 else []
    then = {each.message for each in attempts[-1].fallbacks} if attempts else set()
    config, cuda = SessionConfig.model_validate(plan.config), devices.detect().kind != "cpu"
    here = {notice.message for notice in fallbacks.notices(config, cuda)}
    lines += [f"It ran otherwise than its config says: {message}" for message in sorted(then - here)]
    return lines + [f"Here it runs otherwise: {message}" for message in sorted(here - then)]
