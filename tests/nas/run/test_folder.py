from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest

from nas.errors import CheckpointError, RunError, SettingsError
from nas.run.folder import check_out, find_run, list_runs, open_run, read_run, resume_run
from nas.run.steps import STEPS
from nas.settings import Settings


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_new_run_is_named_by_what_was_asked() -> None:
    with open_run(Settings(budget_ms=5.0)) as run, open_run(Settings(budget_ms=5.0)) as other:
        assert run.path.name.startswith("digits-cpu-5ms-")
        assert run.path.parent == Path("results")
        assert run.path != other.path
        assert sorted(list_runs()) == sorted([run.path, other.path])


def test_a_folder_is_named_by_each_target_and_its_budgets() -> None:
    targets = [{"hardware": "a100", "budgets_ms": [0.5, 2, 10]}, {"budgets_ms": [40]}]
    with open_run(Settings(targets=targets)) as run:
        assert run.path.name.startswith("digits-a100-500us-to-10ms-cpu-40ms-20")


def test_a_run_keeps_its_settings_and_environment() -> None:
    settings = Settings(seed=3)
    with open_run(settings, Path("mine")) as run:
        assert Settings.from_json((run.path / "settings.json").read_text()) == settings
        environment = json.loads((run.path / "environment.json").read_text())
        assert environment["packages"]["torch"]
        assert environment["usable_threads"] >= 1


def test_finished_steps_are_remembered_in_order() -> None:
    with open_run(Settings(), Path("mine")) as run:
        run.finish("supernet", seconds=1.5)
        run.finish("space", seconds=0.1)
        assert run.finished("space")
        assert not run.finished("search")
    with resume_run(Path("mine")) as run:
        assert run.finished("supernet")
    assert read_run(Path("mine")).steps == ("space", "supernet")
    assert not read_run(Path("mine")).complete


def test_a_run_is_complete_when_every_step_has_finished() -> None:
    with open_run(Settings(), Path("mine")) as run:
        for step in STEPS:
            assert not read_run(run.path).complete
            run.finish(step, seconds=0.0)
        assert read_run(run.path).complete


def test_the_same_settings_continue_a_run() -> None:
    with open_run(Settings(), Path("mine")) as run:
        run.finish("space", seconds=0.1)
    with open_run(Settings(), Path("mine")) as run:
        assert run.finished("space")


def test_threads_that_the_run_decided_need_not_be_given_again() -> None:
    decided = Settings().with_threads([3])
    open_run(decided, Path("mine")).close()
    with open_run(Settings(), Path("mine")) as run:
        assert run.settings.targets[0].threads == 3
    with pytest.raises(SettingsError, match="threads"):
        open_run(Settings(threads=4), Path("mine"))


def test_other_settings_are_refused_with_every_difference() -> None:
    open_run(Settings(seed=1), Path("mine")).close()
    with pytest.raises(SettingsError) as caught:
        open_run(Settings(seed=2, budget_ms=5.0), Path("mine"))
    assert "seed: 1 -> 2\n  budgets_ms: not set -> [5.0]" in str(caught.value)
    assert "nas resume mine" in str(caught.value)


def test_two_runs_in_one_folder_are_refused() -> None:
    with (
        open_run(Settings(), Path("mine")),
        pytest.raises(RunError, match="'mine' is in use by process"),
    ):
        open_run(Settings(), Path("mine"))
    open_run(Settings(), Path("mine")).close()


def test_a_folder_with_other_things_is_left_alone() -> None:
    Path("photos").mkdir()
    Path("photos/cat.jpg").touch()
    with pytest.raises(RunError, match=r"not empty and not a run \(it holds 'cat.jpg'\)"):
        open_run(Settings(), Path("photos"))
    with pytest.raises(RunError, match="is a file. Choose a folder"):
        open_run(Settings(), Path("photos/cat.jpg"))
    assert [path.name for path in Path("photos").iterdir()] == ["cat.jpg"]


def test_a_run_killed_before_its_settings_were_written_starts_anew() -> None:
    Path("mine").mkdir()
    for name in ("run.lock", "log.txt", "environment.json", ".settings.json.123.tmp"):
        Path("mine", name).touch()
    with open_run(Settings(), Path("mine")) as run:
        assert (run.path / "settings.json").exists()
        assert not (run.path / ".settings.json.123.tmp").exists()


def test_a_missing_run_names_the_nearest_one() -> None:
    open_run(Settings(), Path("results/first-run")).close()
    assert find_run(Path("first-run")) == Path("results/first-run")
    with pytest.raises(RunError, match=r"no run in 'frist-run'. Did you mean 'first-run'\?"):
        resume_run(Path("frist-run"))


def test_unreadable_settings_name_the_file() -> None:
    open_run(Settings(), Path("mine")).close()
    for damaged, why in ((b"{", "not valid JSON"), (b"\xff\xfe", "can't decode byte")):
        Path("mine/settings.json").write_bytes(damaged)
        with pytest.raises(SettingsError, match=rf"Cannot read 'mine/settings.json': .*{why}"):
            resume_run(Path("mine"))


def test_damaged_steps_are_named() -> None:
    open_run(Settings(), Path("mine")).close()
    Path("mine/steps.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"steps.json' is damaged: it has no steps"):
        read_run(Path("mine"))


def test_what_packages_log_is_in_the_folder_and_nothing_after_closing() -> None:
    logger = logging.getLogger("nas.something")
    with open_run(Settings(), Path("mine")):
        logger.info("a fact")
    logger.info("too late")
    log = Path("mine/log.txt").read_text()
    assert "INFO nas.something: a fact" in log
    assert "too late" not in log
    assert logging.getLogger("nas").handlers == []


def test_a_single_command_on_a_run_is_continued_by_itself() -> None:
    with pytest.raises(KeyboardInterrupt) as caught, open_run(Settings(), Path("mine")) as run:
        run.continued_by = "the same command again"
        raise KeyboardInterrupt
    assert caught.value.__notes__ == ["Continue with: the same command again"]


def test_an_error_is_logged_and_says_how_to_continue() -> None:
    with pytest.raises(ZeroDivisionError) as caught, open_run(Settings(), Path("mine")):
        _ = 1 / 0
    assert caught.value.__notes__ == ["Continue with: nas resume mine"]
    assert "Traceback" in Path("mine/log.txt").read_text()


def test_resuming_on_other_ground_is_logged() -> None:
    open_run(Settings(), Path("mine")).close()
    file = Path("mine/environment.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "python": "2.7"}))
    resume_run(Path("mine")).close()
    assert "python was 2.7 and is" in Path("mine/log.txt").read_text()


@pytest.mark.parametrize("out", ["/proc/mine", "a" * 300, "loop/mine"])
def test_a_folder_that_cannot_be_is_told(out: str) -> None:
    Path("loop").symlink_to("loop")
    with pytest.raises(RunError, match=r"Cannot write '.*'.*hoose another"):
        open_run(Settings(), Path(out))


def test_a_folder_that_is_not_ours_is_told(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # for whom the folder is closed
    else:
        closed.chmod(0)
    try:
        with pytest.raises(RunError, match="Permission denied. Make its folder writable"):
            open_run(Settings(), closed / "mine")
    finally:
        os.seteuid(user)
        closed.chmod(0o700)


def test_a_folder_of_no_use_is_refused_before_the_run_begins() -> None:
    check_out(Settings(), None)
    check_out(Settings(), Path("new/mine"))
    assert not os.listdir()
    held = pytest.raises(RunError, match="'mine' is in use by process")
    with open_run(Settings(), Path("mine")), held:
        check_out(Settings(), Path("mine"))
    check_out(Settings(), Path("mine"))
    with pytest.raises(SettingsError, match="seed: 0 -> 3"):
        check_out(Settings(seed=3), Path("mine"))
    Path("other").mkdir()
    Path("other/thing.txt").write_text("mine")
    with pytest.raises(RunError, match="'other' is not empty and not a run"):
        check_out(Settings(), Path("other"))
