"""Training runs: stopping, resuming, several processes, distillation and fine-tuning; and the recipes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import GENTLE, TINY, make_dataset

from mien.errors import BundleError, DataError, UsageError
from mien.lifecycle import train_model
from mien.training.augment import cutmix_box
from mien.training.checkpoint import load_checkpoint
from mien.training.loop import Trainer
from mien.training.muon import Muon, orthogonalised
from mien.training.network import network_from
from mien.training.processes import Processes
from mien.training.recipe import parse_changes, read_recipe, recipe_names, with_changes
from mien.training.settings import TrainSettings
from mien.training.targets import Teachers, head_losses, smoothed_labels

SHORT = replace(TINY, epochs=2, batch_size=28, augment=replace(GENTLE, cutmix=0.5), dropout=0.0)


class Kill(BaseException):
    """Stands for a kill: nothing may catch it."""


def train(folder: Path, settings: TrainSettings = SHORT, **options: Any) -> list[dict[str, Any]]:
    """Run and return the history without the seconds."""
    rows = train_model(make_dataset(), settings, folder, device="cpu", logs=folder / "logs", **options)
    return [{k: v for k, v in asdict(row).items() if k != "seconds"} for row in rows]


def at(epoch: int, step: int, action: Callable[[], None]) -> Callable[[int, int, int, float], None]:
    """Return a callback that acts after one step."""

    def on_step(now: int, done: int, steps: int, loss: float) -> None:
        if (now, done) == (epoch, step):
            action()

    return on_step


def kill() -> None:
    raise Kill


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    train(folder)
    return folder


def assert_ends_like(folder: Path, unbroken: Path) -> None:
    """The same history and the same weights, optimiser included, to the last bit."""
    ours, theirs = load_checkpoint(folder / "last.pt"), load_checkpoint(unbroken / "last.pt")
    assert [{**row, "seconds": 0} for row in ours["history"]] == [{**row, "seconds": 0} for row in theirs["history"]]
    for part in ("ema", "network"):
        assert all(torch.equal(ours[part][name], theirs[part][name]) for name in theirs[part])
    for mine, other in zip(ours["optimisers"], theirs["optimisers"], strict=True):
        for key, state in other["state"].items():
            assert all(torch.equal(mine["state"][key][name], value) for name, value in state.items())


def test_a_killed_run_goes_on_from_its_last_save_and_ends_as_an_unbroken_one(unbroken: Path, tmp_path: Path) -> None:
    with pytest.raises(Kill):
        train(tmp_path, on_step=at(2, 3, kill))
    assert load_checkpoint(tmp_path / "last.pt")["step"] == 7  # the end of the first epoch
    train(tmp_path, resume=True)
    assert_ends_like(tmp_path, unbroken)


def test_a_save_within_an_epoch_is_exact_to_the_step(unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.training.loop.SAVE_EVERY_S", 0.0)
    with pytest.raises(Kill):
        train(tmp_path, on_step=at(2, 3, kill))
    assert load_checkpoint(tmp_path / "last.pt")["step"] == 10
    spent = load_checkpoint(tmp_path / "last.pt")["seconds"]
    started: list[int] = []
    train(tmp_path, resume=True, on_start=lambda device, images, left_out, steps: started.append(steps))
    assert started == [10]
    assert load_checkpoint(tmp_path / "last.pt")["history"][1]["seconds"] > spent  # the clock goes on, too
    assert_ends_like(tmp_path, unbroken)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_noticed_between_two_steps_and_saves(number: int, unbroken: Path, tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    try:
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, on_step=at(1, 4, lambda: os.kill(os.getpid(), number)))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    state = load_checkpoint(tmp_path / "last.pt")
    assert state["step"] == 5
    assert state["history"] == []
    train(tmp_path, resume=True)
    assert_ends_like(tmp_path, unbroken)


def test_a_signal_that_was_ignored_stays_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert len(train(tmp_path, on_step=at(1, 4, lambda: os.kill(os.getpid(), signal.SIGINT)))) == SHORT.epochs
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_resume_on_other_data_votes_or_teachers_is_refused(unbroken: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="epochs was 2, now 3"):
        train(unbroken, replace(SHORT, epochs=3), resume=True)
    with pytest.raises(UsageError, match="teachers"):
        train(unbroken, resume=True, teachers=[str(unbroken / "best.pt")])


def test_two_processes_make_the_run_that_one_makes(unbroken: Path, tmp_path: Path) -> None:
    program = tmp_path / "run.py"
    program.write_text(
        "import sys\n"
        f"sys.path[:0] = {[str(Path(__file__).parent)]!r}\n"
        "import torch\n"
        "torch.set_num_threads(1)\n"
        "from pathlib import Path\n"
        "from test_runs import train\n"
        "if __name__ == '__main__':\n"
        "    train(Path(sys.argv[1]))\n"
    )
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(program),
        str(tmp_path),
    ]
    answer = subprocess.run(
        command, capture_output=True, text=True, timeout=900, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert answer.returncode == 0, answer.stderr
    two, one = load_checkpoint(tmp_path / "last.pt"), load_checkpoint(unbroken / "last.pt")
    for mine, other in zip(two["history"], one["history"], strict=True):
        assert mine["train_loss"] == pytest.approx(other["train_loss"], rel=2e-3)  # bfloat16 rounds by 4e-3
        assert mine["train_accuracy"] == pytest.approx(other["train_accuracy"], abs=0.03)
    for name, value in one["network"].items():
        if name.endswith("weight") and value.ndim == 4:  # Muon makes small gradients, and their rounding, as long as large ones
            assert float((two["network"][name] - value).norm()) < 0.05 * float(value.norm()), name


def test_a_batch_that_processes_cannot_share_is_refused(tmp_path: Path) -> None:
    train_set, validation = (make_dataset().split(name) for name in ("Training", "PublicTest"))
    with pytest.raises(UsageError, match=r"30.* 4"):
        Trainer(
            train_set, validation, replace(SHORT, batch_size=30), tmp_path, torch.device("cpu"), {}, processes=Processes(0, 2)
        )


def test_tensorboard_can_read_the_log(unbroken: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(unbroken / "logs" / unbroken.name))
    log.Reload()
    points = log.Scalars("accuracy/PublicTest")
    history = load_checkpoint(unbroken / "last.pt")["history"]
    assert [point.step for point in points] == [7, 14]
    assert [point.value for point in points] == pytest.approx([row["val_accuracy"] for row in history])


def test_a_student_learns_from_teachers_and_remembers_which(unbroken: Path, tmp_path: Path) -> None:
    train(tmp_path, teachers=[str(unbroken / "best.pt"), str(unbroken / "last.pt")])
    assert len(load_checkpoint(tmp_path / "best.pt")["facts"]["teachers"]) == 2
    with pytest.raises(DataError, match=r"gone\.pt"):
        train(tmp_path / "other", teachers=[str(tmp_path / "gone.pt")])


def test_fine_tuning_starts_from_the_averaged_weights_and_records_their_hash(unbroken: Path, tmp_path: Path) -> None:
    first = load_checkpoint(unbroken / "last.pt")
    still = replace(SHORT, epochs=1, peak_lr=1e-9, muon_lr=1e-9)
    begun = train(tmp_path, still, start=str(unbroken / "last.pt"))
    leg = load_checkpoint(tmp_path / "last.pt")
    for name, weight in first["ema"].items():
        if name.endswith(".weight") and weight.ndim == 4:  # Muon resets the length, the direction stays
            alike = torch.cosine_similarity(leg["network"][name].flatten(), weight.flatten(), dim=0)
            assert alike > 0.9999, name
    assert begun[0]["train_loss"] < train(tmp_path / "fresh", still)[0]["train_loss"]
    assert leg["facts"]["start"]
    assert not first["facts"]["start"]
    with pytest.raises(UsageError, match="first weights"):
        train(tmp_path, still, resume=True)


def test_fine_tuning_a_network_of_another_shape_is_refused(unbroken: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"widths \[16, 16, 32\].* \[8, 8, 16\]"):
        train(tmp_path, replace(SHORT, widths=(8, 8, 16)), start=str(unbroken / "best.pt"))
    with pytest.raises(DataError, match="gone"):
        train(tmp_path, start=str(tmp_path / "gone.pt"))


def test_teachers_answer_with_softened_probabilities(unbroken: Path) -> None:
    network = network_from(load_checkpoint(unbroken / "best.pt"))
    teachers = Teachers([network] * 2, torch.device("cpu"))
    faces = torch.from_numpy(make_dataset((1, 1, 1)).images)[:, None]
    sharp, soft = teachers.probabilities(faces, 1.0).labels, teachers.probabilities(faces, 5.0).labels
    assert sharp is not None
    assert soft is not None
    assert teachers.probabilities(faces, 1.0).people is None  # it learnt from labels alone
    assert torch.allclose(sharp.sum(1), torch.ones(len(faces)), atol=1e-5)
    assert float(soft.max()) < float(sharp.max())
    both = Teachers([network], torch.device("cpu"), mirror=True)
    assert torch.allclose(both.probabilities(faces, 1.0).labels, both.probabilities(faces.flip(3), 1.0).labels, atol=1e-6)
    assert not torch.allclose(sharp, teachers.probabilities(faces.flip(3), 1.0).labels, atol=1e-6)


def test_the_loss_is_cross_entropy_and_vanishes_where_student_and_teacher_agree() -> None:
    logits = torch.tensor([[2.0, 0, 0, 0, 0, 0, 0], [0, 1.0, 0, 0, 0, 0, 0]])
    rows = torch.eye(7)[[0, 1]]
    plain = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1]), reduction="none")
    assert torch.allclose(head_losses(logits, rows, None, SHORT), plain)
    only_teacher = replace(SHORT, teacher_share=1.0, teacher_temperature=2.0)
    agreeing = torch.softmax(logits / 2, 1)
    assert torch.allclose(head_losses(logits, rows, agreeing, only_teacher), torch.zeros(2), atol=1e-6)
    assert (head_losses(logits, rows, agreeing.flip(0), only_teacher) > 0.05).all()


def test_labels_are_softened() -> None:
    smoothed = smoothed_labels(make_dataset((1, 1, 1)).split("Training"), replace(SHORT, label_smoothing=0.7))
    assert smoothed[3] == pytest.approx([0.1, 0.1, 0.1, 0.4, 0.1, 0.1, 0.1])


def test_the_square_of_cutmix_lies_within_the_face() -> None:
    for seed in range(200):
        left, top, side = cutmix_box(torch.rand(3, generator=torch.Generator().manual_seed(seed)), 48)
        assert 0 <= left <= 48 - side
        assert 0 <= top <= 48 - side
    assert cutmix_box(torch.tensor([0.75, 0.0, 0.999]), 48) == (0, 24, 24)


def test_muon_steps_along_all_directions_alike_and_keeps_the_length() -> None:
    matrix = torch.randn(16, 40, generator=torch.Generator().manual_seed(0)) @ torch.diag(torch.logspace(0, -1, 40))
    values = torch.linalg.svdvals(orthogonalised(matrix))
    assert float(values.max() / values.min()) < 0.5 * float(
        torch.linalg.svdvals(matrix).max() / torch.linalg.svdvals(matrix).min()
    )
    assert torch.allclose(orthogonalised(matrix.T), orthogonalised(matrix).T, atol=1e-5)
    weight = torch.nn.Parameter(torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(1)))
    muon = Muon([weight], lr=0.1)
    assert float(weight.detach().norm()) == pytest.approx(8**0.5)
    weight.grad = torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(2))
    before = weight.detach().clone()
    muon.step()
    assert float((weight.detach() - before).norm()) == pytest.approx(0.1 * 8**0.5, rel=1e-4)


def test_every_recipe_of_the_package_is_whole_and_explained() -> None:
    assert {"speedrun", "default", "tiny", "teacher", "distil"} <= set(recipe_names())
    for name in recipe_names():
        description, settings = read_recipe(name)
        assert len(description) > 20
        assert settings.epochs >= 1


def test_a_recipe_of_ones_own_and_changes_on_the_command_line(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('description = "mine"\nepochs = 3\nwidths = [16, 16, 16]\nlabel_smoothing = 0\n[augment]\ncutmix = 1\n')
    description, settings = read_recipe(str(own))
    assert (description, settings.epochs, settings.widths, settings.augment.cutmix) == ("mine", 3, (16, 16, 16), 1.0)
    changed = with_changes(settings, parse_changes(["optimiser=sgd", "augment.rotation_deg=0", "blocks=[1,1,1]"]))
    assert (changed.optimiser, changed.augment.rotation_deg, changed.blocks) == ("sgd", 0.0, (1, 1, 1))
    assert changed.augment.cutmix == 1.0
    for wrong, said in (
        ("augment.spin=1", "augment, spin is not a key"),
        ("augment=1", "augment is 1"),
        ("epochs=x", "epochs is 'x'"),
    ):
        with pytest.raises(UsageError, match=f"--set: {said}"):
            with_changes(settings, parse_changes([wrong]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epoch = 3\n", r"line 1: epoch is not a key here.* Did you mean 'epochs'\?"),
        ('epochs = "three"\n', "line 1: epochs is 'three'; it must be a whole number"),
        ("epochs = 2.5\n", r"epochs is 2\.5; it must be a whole number"),
        ("peak_lr = nan\n", "peak_lr is nan; it must be a number"),
        ("\ndropout = 2\n", "line 2: dropout is 2.0; it must be 0 or more and below 1"),
        ("[augment]\nspin = 3\n", "line 2: augment, spin is not a key here"),
        ("[augment]\ncamera = 2\n", "line 2: augment, camera is 2.0; it must be 0 to 1"),
        ("augment = 3\n", "line 1: augment is 3; it must be a table"),
        ("epochs = 0\nbatch_size = 1\n", r"\n  line 1: epochs is 0.*\n  line 2: batch_size is 1"),
        ("blocks = [0, 1, 1]\n", r"blocks is \(0, 1, 1\)"),
    ],
)
def test_faults_in_a_recipe_are_named(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "faulty.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        read_recipe(str(path))


def test_a_recipe_that_is_not_there_or_not_toml(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'fastest'.* default"):
        read_recipe("fastest")
    (tmp_path / "broken.toml").write_text("epochs = = 3")
    with pytest.raises(DataError, match=r"broken\.toml"):
        read_recipe(str(tmp_path / "broken.toml"))
    with pytest.raises(UsageError, match="KEY=VALUE"):
        parse_changes(["epochs"])


def test_a_checkpoint_from_before_steps_were_kept_is_refused(unbroken: Path, tmp_path: Path) -> None:
    state = load_checkpoint(unbroken / "last.pt")
    del state["step"]
    torch.save(state, tmp_path / "last.pt")
    with pytest.raises(BundleError, match=r"last\.pt"):
        train(tmp_path, resume=True)
